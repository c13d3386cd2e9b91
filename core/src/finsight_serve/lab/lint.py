"""Everything that looks wrong with a policy, the worst first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..domain import AutoscalingPolicy
from ..plugin import Ceiling
from .evidence import Loops, check_burst, check_trace, demand_of_trace
from .measurement import Measurement
from .rules import Finding, check_capacity, check_numbers, demand_of_day
from .service import ServiceModel
from .trace import Trace

ORDER = ("error", "warning", "info")


@dataclass(frozen=True)
class Backend:
    """What is known of an orchestrator. `roomier`: installed ones with a higher ceiling, or none."""

    name: str
    ceiling: Ceiling | None
    roomier: tuple[str, ...] = ()


def lint(
    policy: AutoscalingPolicy,
    *,
    backends: Mapping[str, Backend],
    loops: Loops,
    service: ServiceModel,
    measured: Measurement | None = None,
    cold_start_s: float | None = None,
    trace: Trace | None = None,
    per_day: float | None = None,
) -> tuple[Finding, ...]:
    """`cold_start_s`: as measured, None where it is only assumed. Raises `UserError`."""
    concurrency = measured.max_concurrency if measured else None
    found = [
        *check_numbers(policy, cold_start_s=cold_start_s, max_concurrency=concurrency),
        *check_burst(policy, loops, service),
        *(check_trace(policy, loops, service, trace) if trace is not None else ()),
        *_check_demand(policy, measured, trace, per_day),
        *(one for backend in backends.values() for one in check_ceiling(policy, backend)),
    ]
    return tuple(sorted(found, key=lambda one: ORDER.index(one.severity)))


def _check_demand(
    policy: AutoscalingPolicy, measured: Measurement | None, trace: Trace | None, per_day: float | None
) -> Iterator[Finding]:
    requests_per_s = measured.requests_per_s if measured else None
    if per_day is not None:
        yield from check_capacity(policy, demand_of_day(per_day), requests_per_s)
    elif trace is not None:
        yield from check_capacity(policy, demand_of_trace(trace), requests_per_s)


def check_ceiling(policy: AutoscalingPolicy, backend: Backend) -> Iterator[Finding]:
    if backend.ceiling is None or not backend.ceiling.is_near(policy.max_replicas):
        return
    over = policy.max_replicas > backend.ceiling.replicas
    to = f"migrate tenants to {' or '.join(backend.roomier)}" if backend.roomier else "no installed backend holds more"
    yield Finding(
        "error" if over else "warning",
        "max_replicas",
        f"is {policy.max_replicas}, {'beyond' if over else 'near'} what {backend.name} is advised for "
        f"({backend.ceiling.replicas} replicas): {to}",
        backend.ceiling.why,
    )
