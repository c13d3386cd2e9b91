"""What is wanted of a policy, in words: a limit as `p99_wait_s<=1`, an objective as `min replica_hours s.t. …`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..domain.limit import no_such_metric, split_comparison
from ..errors import UserError

NUMBER = re.compile(r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?", re.IGNORECASE)
OBJECTIVE = re.compile(r"\s*min(?:imi[sz]e)?\s+([a-z][a-z0-9_]*)\s*(?:s\.?t\.?\s+(.*))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Limit:
    metric: str
    relation: str  # <=, <, >= or >
    value: float

    def excess(self, found: float) -> float:
        """How far `found` is beyond the limit; 0 where it holds."""
        if self.relation in ("<=", "<"):
            return max(0.0, found - self.value)
        return max(0.0, self.value - found)

    def holds(self, found: float) -> bool:
        return {
            "<=": found <= self.value,
            "<": found < self.value,
            ">=": found >= self.value,
            ">": found > self.value,
        }[self.relation]

    def __str__(self) -> str:
        return f"{self.metric}{self.relation}{self.value:g}"


@dataclass(frozen=True)
class Objective:
    """The metric to make small among the policies that hold every limit."""

    metric: str
    limits: tuple[Limit, ...] = ()

    def order(self, found: Mapping[str, float]) -> tuple[float, float]:
        """Smaller is better: first how far the limits are broken (0: they hold), then the metric."""
        return (
            sum(0.0 if limit.holds(found[limit.metric]) else 1e-9 + self._share(limit, found) for limit in self.limits),
            found[self.metric],
        )

    def _share(self, limit: Limit, found: Mapping[str, float]) -> float:
        return limit.excess(found[limit.metric]) / (abs(limit.value) or 1.0)

    def __str__(self) -> str:
        limits = " and ".join(map(str, self.limits))
        return f"min {self.metric}" + (f" s.t. {limits}" if limits else "")


def parse_limit(text: str, metrics: Sequence[str]) -> Limit:
    """Raises `UserError`."""
    found = split_comparison(text)
    try:
        value = float(found[2]) if found and NUMBER.fullmatch(found[2]) else None
    except ValueError:
        value = None
    if found is None or value is None:
        raise UserError(f"{text!r} is no limit: write METRIC<=NUMBER, as {metrics[0]}<=1")
    return Limit(_known(found[0], metrics), found[1], value)


def parse_objective(text: str, metrics: Sequence[str]) -> Objective:
    """Raises `UserError`."""
    found = OBJECTIVE.fullmatch(text)
    if found is None:
        raise UserError(f"{text!r} is no objective: write 'min replica_hours s.t. p99_wait_s<=1'")
    parts = re.split(r"\s+and\s+|,", found[2]) if found[2] else []
    return Objective(_known(found[1], metrics), tuple(parse_limit(part, metrics) for part in parts))


def _known(metric: str, metrics: Sequence[str]) -> str:
    if metric in metrics:
        return metric
    raise UserError(no_such_metric(metric, metrics))
