"""How many replicas a migration's destination has and gets, and what that means for how long it takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..domain.wording import counted, span

if TYPE_CHECKING:
    from ..controller.state import Durable
    from ..domain.migration import Migration, MigrationRules
    from ..host import Host


@dataclass(frozen=True)
class Scaling:
    deployment: str
    backend: str
    replicas_now: int
    replicas_then: int  # while the migration runs, at least
    min_replicas: int
    max_replicas: int
    source_replicas: int
    cold_start_s: float | None

    def values(self) -> Mapping[str, object]:
        return {key: value for key, value in asdict(self).items() if key != "source_replicas"}

    def in_words(self) -> Mapping[str, object]:
        return {
            "deployment": self.deployment,
            "backend": self.backend,
            "replicas_now": self.replicas_now,
            "replicas_then": self.replicas_then,
            "afterwards": f"{self.min_replicas} to {self.max_replicas} by its policy",
            "cold_start": "not measured yet" if self.cold_start_s is None else span(self.cold_start_s),
        }


def scaling_of(durable: "Durable", migrations: "Sequence[Migration]", name: str) -> Scaling:
    """Held at as many as the sources have now, as far as its policy allows."""
    from ..controller.scaling import cold_start_s

    assert durable.stack is not None
    backend = next(one.backend for one in durable.stack.deployments if one.name == name)
    sources = {source for one in migrations if one.destination == name for source in one.source if source != name}
    policy = durable.policies_in_force[name]
    source_replicas = max((_routed(durable, source) for source in sources), default=0)
    now = _routed(durable, name)
    then = max(now, policy.min_replicas, min(source_replicas, policy.max_replicas))
    return Scaling(
        name,
        backend,
        now,
        then,
        policy.min_replicas,
        policy.max_replicas,
        source_replicas,
        cold_start_s(durable, name),
    )


def _routed(durable: "Durable", deployment: str) -> int:
    return sum(replica.deployment == deployment for replicas in durable.routed.values() for replica in replicas)


def scaling_warnings(durable: "Durable", scaling: Sequence[Scaling], host: "Host") -> Iterator[str]:
    from ..plugin import Feature

    stack = durable.stack
    assert stack is not None
    for row in scaling:
        if row.replicas_then < row.source_replicas:
            yield (
                f"{row.deployment}: its policy allows {counted(row.max_replicas, 'replica')}, and the source "
                f"has {row.source_replicas}"
            )
        lacks = host.load("orchestrator", stack.backends[row.backend].plugin).lacks
        if Feature.SCALING in lacks and row.min_replicas < row.source_replicas:
            yield (
                f"{row.deployment}: falls back to {row.min_replicas} once it is over, and the source has "
                f"{row.source_replicas}: {lacks[Feature.SCALING]}; raise its min_replicas"
            )


def least_s(rules: "MigrationRules", rate_per_s: float, scaling: Scaling) -> float | None:
    """Starting replicas, the shadow and each step; None where no request comes that could prove a step."""
    if not rate_per_s and rules.min_requests:
        return None

    def seen_s(percent: int) -> float:
        if not rules.min_requests:
            return 0.0
        return rules.min_requests / (rate_per_s * percent / 100)

    starting_s = (scaling.cold_start_s or 0.0) if scaling.replicas_then > scaling.replicas_now else 0.0
    shadow_s = seen_s(rules.shadow_percent) if rules.shadow_percent else 0.0
    return starting_s + shadow_s + sum(max(rules.hold_s, seen_s(percent)) for percent in rules.steps)
