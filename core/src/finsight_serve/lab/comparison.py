"""One policy on several backends over one trace, side by side, with the bound; and what was asserted of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..domain import AutoscalingPolicy
from ..plugin import ControlLoop
from .clairvoyant import Bound, clairvoyant
from .limits import Limit
from .outcome import Outcome, agreement
from .service import ServiceModel
from .simulation import simulate
from .trace import Trace

Report = Callable[[str, float], None]

FIGURES = (
    "replica_hours",
    "bound_ratio",
    "p50_wait_s",
    "p95_wait_s",
    "p99_wait_s",
    "max_wait_s",
    "shed",
    "waiting",
    "oscillations",
    "changes",
)
"""What can be asserted of a backend, by its column's name."""


@dataclass(frozen=True)
class Comparison:
    outcomes: Mapping[str, Outcome]
    """By backend."""
    bounds: Mapping[str, Bound]

    @property
    def agreements(self) -> Mapping[tuple[str, str], float]:
        """By pairs of backends: the share of seconds in which both want as many replicas."""
        return {
            pair: agreement(self.outcomes[pair[0]], self.outcomes[pair[1]]) for pair in combinations(self.outcomes, 2)
        }

    def figures(self, backend: str) -> Mapping[str, float]:
        outcome, bound = self.outcomes[backend], self.bounds[backend]
        found = {name: getattr(outcome, name) for name in FIGURES if name != "bound_ratio"}
        ratio = outcome.replica_hours / bound.replica_hours if bound.replica_hours else float("inf")
        return {name: ratio if name == "bound_ratio" else found[name] for name in FIGURES}

    def broken(self, limits: Sequence[Limit]) -> list[str]:
        """A line for each limit that does not hold on a backend: which, and by how much."""
        lines = []
        for limit in limits:
            for backend in self.outcomes:
                value = self.figures(backend)[limit.metric]
                if not limit.holds(value):
                    side = "above" if limit.relation.startswith("<") else "below"
                    lines.append(f"{backend}: {limit} fails: {value:.6g}, {limit.excess(value):.4g} {side}")
        return lines


def compare(
    policy: AutoscalingPolicy,
    trace: Trace,
    loops: Mapping[str, ControlLoop],
    service: ServiceModel,
    report: Report = lambda backend, share: None,
) -> Comparison:
    """The bound keeps to the p99 wait that the policy promises; to the one that it has, where it promises none.

    Raises `UserError`.
    """
    outcomes: dict[str, Outcome] = {}
    for backend, loop in loops.items():

        def tell(share: float, backend: str = backend) -> None:
            report(backend, share)

        outcomes[backend] = simulate(policy, trace, loop, service, on_progress=tell)
    promised = policy.slo.p99_wait_s if policy.slo else None
    waits = {name: one.p99_wait_s if promised is None else promised for name, one in outcomes.items()}
    known: dict[float, Bound] = {}
    for wait_s in waits.values():
        if wait_s not in known:
            report("bound", 0.0)
            known[wait_s] = clairvoyant(policy, trace, service, p99_wait_s=wait_s)
    return Comparison(outcomes, {name: known[wait_s] for name, wait_s in waits.items()})
