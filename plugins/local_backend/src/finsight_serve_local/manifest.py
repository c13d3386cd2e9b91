"""From deployments to artefacts and back. Pure.

A deployment is two artefacts: `<name>.json`, which people may read, and `<name>.env`, the environment, which
may hold a hub token and is therefore secret.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, Artefact, DeploymentSpec, Grade, Plan, graded_fields

from .record import Record

_FIXED = Grade("impossible", "the number of processes is fixed at min_replicas")
_GRADES = {
    "min_replicas": Grade("exact", "this many processes run"),
    "max_replicas": Grade("approximate", "never exceeded, but the number stays at min_replicas"),
    "initial_replicas": Grade("impossible", "starts with min_replicas processes"),
    "on_signal_loss": Grade("approximate", "no load is looked at, so none is lost: the number stays at min_replicas"),
    "schedule": Grade("impossible", "without a controller the numbers outside all windows hold all the time"),
}


@dataclass(frozen=True)
class Wanted:
    """One deployment as apply() reads it."""

    deployment: str
    replicas: int = 0
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    first_port: int | None = None  # None: any free port
    evict: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """Tells whether a running process was started as is wanted now."""
        return hashlib.sha256(json.dumps([self.argv, self.env], sort_keys=True).encode()).hexdigest()

    @property
    def ports(self) -> range | None:
        return None if self.first_port is None else range(self.first_port, self.first_port + self.replicas)

    def describes(self, record: Record) -> bool:
        """Whether the process is the one that would be started today, so that it can stay."""
        return record.digest == self.digest and (self.ports is None or record.port in self.ports)


def write_plan(want: tuple[DeploymentSpec, ...], first_ports: Mapping[str, int]) -> Plan:
    """Raises `ApplyError` where the replicas of two deployments would share a port."""
    _check_ports(want, first_ports)
    artefacts: list[Artefact] = []
    for spec in want:
        body = {
            "replicas": spec.policy.min_replicas,
            "argv": list(spec.launch.argv),
            "first_port": first_ports.get(spec.name),
            "evict": sorted(spec.evict),
        }
        artefacts.append(Artefact(f"{spec.name}.json", body))
        artefacts.append(Artefact(f"{spec.name}.env", dict(spec.launch.env), secret=True))
    return Plan(tuple(artefacts), {(spec.name, field): g for spec in want for field, g in _grade(spec.policy).items()})


def _grade(policy: AutoscalingPolicy) -> Mapping[str, Grade]:
    return {name: _GRADES.get(name, _FIXED) for name in graded_fields(policy)}


def read_plan(plan: Plan) -> list[Wanted]:
    bodies = {artefact.name: artefact.body for artefact in plan.artefacts}
    return [
        Wanted(
            deployment=name.removesuffix(".json"),
            replicas=body["replicas"],
            argv=tuple(body["argv"]),
            env=bodies[name.removesuffix(".json") + ".env"],
            first_port=body["first_port"],
            evict=frozenset(body["evict"]),
        )
        for name, body in bodies.items()
        if name.endswith(".json")
    ]


def dump_artefacts(artefacts: tuple[Artefact, ...]) -> str:
    return json.dumps([asdict(artefact) for artefact in artefacts])


def load_artefacts(text: str) -> tuple[Artefact, ...]:
    return tuple(Artefact(**item) for item in json.loads(text))


def _check_ports(want: tuple[DeploymentSpec, ...], first_ports: Mapping[str, int]) -> None:
    ranges = sorted(
        (first_ports[spec.name], first_ports[spec.name] + spec.policy.min_replicas - 1, spec.name)
        for spec in want
        if spec.name in first_ports
    )
    for (first, last, name), (next_first, next_last, next_name) in pairwise(ranges):
        if next_first <= last:
            raise ApplyError(
                f"deployments {name!r} (ports {first}-{last}) and {next_name!r} (ports {next_first}-{next_last}) "
                f"overlap: move one of them under `ports`"
            )
    for _, last, name in ranges:
        if last > 65535:
            raise ApplyError(f"deployment {name!r} would need port {last}; the highest is 65535")
