"""Who is to be asked, and whether time alone has anything to decide: read from the state. Pure."""

from collections.abc import Mapping

from .breaking import is_breaker_due
from .migrating import running_migrations
from .probing import Target
from .routing import route_table
from .scaling import is_cut_over_due
from .shadowing import ShadowPair
from .state import State
from .tenancy import is_key_due


def targets_of(state: State) -> tuple[Target, ...]:
    """Every routed replica, with what it takes to ask it."""
    durable = state.durable
    return tuple(
        Target(
            replica,
            durable.served_models[replica.deployment],
            durable.replica_keys[replica.deployment].previous,
            durable.launches[replica.deployment].signals,
        )
        for replica in (state.table or route_table(state)).replicas
    )


def shadow_pairs(state: State, targets: tuple[Target, ...]) -> Mapping[str, ShadowPair]:
    """Tenant → whom its copied requests are asked of; only while it is in the shadow."""
    return {
        migration.tenant: ShadowPair(
            migration.id,
            tuple(t for t in targets if t.replica.deployment in migration.source),
            tuple(t for t in targets if t.replica.deployment == migration.destination),
        )
        for migration in running_migrations(state.durable)
        if migration.phase == "shadowing"
    }


def is_anything_due(state: State, now_s: float) -> bool:
    """Whether a look at the clock would change anything; a running migration looks every time."""
    return (
        is_cut_over_due(state.durable, now_s)
        or is_key_due(state.durable, now_s)
        or is_breaker_due(state, now_s)
        or any(running_migrations(state.durable))
    )
