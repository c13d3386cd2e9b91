"""What time the reducer goes by, where the machine's clock may be set while the controller runs or is away. Pure."""

from dataclasses import replace

from ..domain.migration import OVER, Migration
from .state import State

LARGEST_SLIP_S = 60.0
"""A clock that steps back by less is waited for; one that was set back by more is believed."""


def set_back_by(state: State, clock_s: float) -> float:
    """Seconds by which the clock was set back since the state's time; 0 for a slip and for a clock that goes on."""
    back_s = state.now_s - clock_s
    return back_s if back_s > LARGEST_SLIP_S else 0.0


def time_at(state: State, clock_s: float) -> float:
    """Never earlier than the state's time, unless the clock was set back."""
    return clock_s if set_back_by(state, clock_s) else max(clock_s, state.now_s)


def tell_time(state: State, clock_s: float) -> State:
    """The state at `time_at` that moment. What has waited when the clock is set back has waited as long as before.

    What was measured lies in the other clock's time and is not known any more. Promised moments stay: when a key ends.
    """
    back_s = set_back_by(state, clock_s)
    now = replace(state, now_s=time_at(state, clock_s))
    if not back_s:
        return now
    old = state.durable
    durable = replace(
        old,
        breakers={name: replace(one, since_s=one.since_s - back_s) for name, one in old.breakers.items()},
        migrations={id: _earlier(one, back_s) for id, one in old.migrations.items()},
    )
    starting_since_s = {id: at_s - back_s for id, at_s in state.starting_since_s.items()}
    return replace(
        now,
        durable=durable,
        starting_since_s=starting_since_s,
        watched_since_s=None if state.watched_since_s is None else state.watched_since_s - back_s,
        measured={},
        migration_figures={},
    )


def _earlier(migration: Migration, by_s: float) -> Migration:
    """One that is over waits for nothing."""
    if migration.phase in OVER:
        return migration
    return replace(
        migration,
        since_s=migration.since_s - by_s,
        in_force_s=None if migration.in_force_s is None else migration.in_force_s - by_s,
        paused_s=migration.paused_s - by_s if migration.paused else migration.paused_s,
    )
