"""Each deployment's breaker, judged by what was measured and probed. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from ..domain.breaker import Breaker, judge
from ..domain.health import HealthRules
from ..plugin import Replica
from .routing import routed_replicas
from .state import State
from .told import Telling, Told

CLOSED = Breaker()


def judge_breakers(state: State) -> tuple[State, Told]:
    """Every breaker at `state.now_s`; the same state where none changes.

    A breaker belongs to its deployment, whatever that runs: it stays through a new launch and through a restart.
    """
    stack = state.durable.stack
    if stack is None or state.stopping is not None:
        return state, []
    failing = _failing(state, stack.health)
    old = state.durable.breakers
    judged = {}
    for deployment in stack.deployments:
        probes = failing.get(deployment.name, [])
        judged[deployment.name] = judge(
            old.get(deployment.name, CLOSED),
            stack.breaker,
            state.measured.get(deployment.name),
            replicas_ok=probes.count(False),
            replicas_failing=probes.count(True),
            now_s=state.now_s,
        )
    told = [_tell(name, new) for name, new in judged.items() if new.state != old.get(name, CLOSED).state]
    breakers = {name: breaker for name, breaker in judged.items() if breaker != CLOSED}
    if breakers == old:
        return state, told
    return replace(state, durable=replace(state.durable, breakers=breakers)), told


def is_breaker_due(state: State, now_s: float) -> bool:
    """Whether time alone changes one: an open one is to be tried again, or one that was tried to be closed."""
    if not state.durable.breakers:
        return False
    later, _ = judge_breakers(replace(state, now_s=now_s))
    return later.durable.breakers != state.durable.breakers


def _failing(state: State, rules: HealthRules) -> Mapping[str, list[bool]]:
    """Deployment → of each replica that is routed to, whether enough probes in a row failed to replace it."""
    found: dict[str, list[bool]] = {}
    for replicas in routed_replicas(state).values():
        for replica in replicas:
            found.setdefault(replica.deployment, []).append(_is_failing(state, replica, rules))
    return found


def _is_failing(state: State, replica: Replica, rules: HealthRules) -> bool:
    """One that is busy or has not been asked yet is not."""
    health = state.health.get(replica.id)
    return health is not None and not health.busy and health.failures >= rules.failures_before_eviction


def _tell(name: str, new: Breaker) -> Telling:
    match new.state:
        case "open":
            return "breaker_opened", name, new.reason
        case "half_open":
            return "breaker_half_open", name, new.reason
        case "closed":
            return "breaker_closed", name, new.reason
