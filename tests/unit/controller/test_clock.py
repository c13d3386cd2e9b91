"""A clock that slips is waited for, one that was set back is believed, and what has waited loses nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.controller.clock import LARGEST_SLIP_S, tell_time, time_at
from finsight_serve.controller.facts import TenantAdded, TenantKeyIssued, TimePassed
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import State
from finsight_serve.domain.breaker import Breaker, BreakerRules
from finsight_serve.domain.figures import Figures
from finsight_serve.domain.migration import Migration
from finsight_serve.stack.values import Tenant

from .worlds import BOTH, after, chosen, recalled, replica, seen

NOW_S = 1_000_000.0
YEAR_S = 365 * 86400.0
OPEN = Breaker("open", NOW_S - 10, 1, "6 of 10 failed")
MOVING = Migration(
    "m1",
    "default",
    {"chat": 100},
    "code",
    phase="shifting",
    since_s=NOW_S - 50,
    in_force_s=NOW_S - 40,
    paused=True,
    paused_s=NOW_S - 30,
)
OVER = replace(MOVING, id="m0", phase="done", paused=False)


def world() -> State:
    tenants = (TenantAdded(Tenant("acme", "chat"), "a" * 64), TenantKeyIssued("acme", "b" * 64, 1000.0))
    ready = (seen("one", replica("1")), seen("two", replica("2", "code")))
    state = after(chosen(BOTH), *ready, *tenants, now_s=NOW_S)
    durable = replace(state.durable, serving=True, breakers={"chat": OPEN}, migrations={"m0": OVER, "m1": MOVING})
    return replace(
        state,
        durable=durable,
        starting_since_s={"3": NOW_S - 5},
        watched_since_s=NOW_S - 99,
        measured={"chat": Figures(requests=9)},
    )


def waits_s(state: State) -> list[float]:
    moving = state.durable.migrations["m1"]
    assert moving.in_force_s is not None
    moments = (state.durable.breakers["chat"].since_s, moving.since_s, moving.in_force_s, moving.paused_s)
    return [round(state.now_s - moment_s, 3) for moment_s in (*moments, *state.starting_since_s.values())]


@given(st.floats(-2 * YEAR_S, 2 * YEAR_S))
def test_time_goes_back_only_with_a_clock_that_was_set_back(by_s: float) -> None:
    before = replace(State(), now_s=NOW_S)
    expected_s = NOW_S if -LARGEST_SLIP_S <= by_s <= 0 else NOW_S + by_s
    assert time_at(before, NOW_S + by_s) == tell_time(before, NOW_S + by_s).now_s == expected_s


@pytest.mark.parametrize("back_s", [0.0, 1.0, LARGEST_SLIP_S])
def test_a_slip_changes_nothing(back_s: float) -> None:
    assert tell_time(world(), NOW_S - back_s) == world()


def test_what_has_waited_has_waited_as_long_as_before() -> None:
    before = world()
    now = tell_time(before, NOW_S - 3600)
    assert now.now_s == NOW_S - 3600
    assert waits_s(now) == waits_s(before) == [10, 50, 40, 30, 5]
    assert now.watched_since_s == NOW_S - 3600 - 99
    assert now.measured == {}  # of the other clock's time
    assert now.durable.key_ends_s == before.durable.key_ends_s
    assert now.durable.migrations["m0"] == OVER


def test_what_was_not_paused_and_not_in_force_is_neither_afterwards() -> None:
    begun = replace(MOVING, in_force_s=None, paused=False, paused_s=0.0)
    state = replace(world(), durable=replace(world().durable, migrations={"m1": begun}))
    moved = tell_time(state, NOW_S - 3600).durable.migrations["m1"]
    assert moved == replace(begun, since_s=begun.since_s - 3600)


def test_it_is_told_once() -> None:
    step = reduce(world(), TimePassed(), NOW_S - 3600)
    [told] = [event for event in step.events if event.kind == "clock_set_back"]
    assert told.reason.startswith("by 3600 s") and told.at_s == NOW_S - 3600
    again = reduce(step.state, TimePassed(), NOW_S - 3599)
    assert [event for event in again.events if event.kind == "clock_set_back"] == []
    slipped = reduce(world(), TimePassed(), NOW_S - LARGEST_SLIP_S)
    assert "clock_set_back" not in {event.kind for event in slipped.events}


def test_a_clock_that_was_ahead_for_a_moment_holds_nothing_up() -> None:
    """The breaker opens while it is ahead, and is tried again when it would have been."""
    ahead = tell_time(world(), NOW_S + YEAR_S)
    opened = replace(
        ahead, durable=replace(ahead.durable, migrations={}, breakers={"chat": replace(OPEN, since_s=ahead.now_s)})
    )
    step = reduce(opened, TimePassed(), NOW_S + 1)
    assert step.state.now_s == NOW_S + 1 and step.state.durable.breakers["chat"].state == "open"
    later = reduce(step.state, TimePassed(), NOW_S + 1 + BreakerRules().open_s)
    assert later.state.durable.breakers["chat"].state == "half_open"


def test_a_clock_set_back_while_no_controller_ran_is_seen_at_the_start() -> None:
    stored = recalled(reduce(world(), TimePassed(), NOW_S).state)
    assert stored.now_s == NOW_S
    step = reduce(stored, TimePassed(), NOW_S - 3600)
    assert waits_s(step.state) == waits_s(world())[:4]
    again = recalled(step.state)
    assert (again.now_s, again.durable) == (NOW_S - 3600, step.state.durable)
