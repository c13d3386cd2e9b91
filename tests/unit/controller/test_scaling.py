"""Schedules in the reducer: what holds now is in force, each change is told once, a missed edge is caught up with."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.controller.amendment import differences, obstacles
from finsight_serve.controller.facts import Seen, StackAmended, TimePassed
from finsight_serve.controller.reduce import Step, reduce
from finsight_serve.controller.scaling import cold_start_s, is_cut_over_due
from finsight_serve.controller.state import State
from finsight_serve.controller.want import want
from finsight_serve.domain import AutoscalingPolicy, WeeklyHours, Window
from finsight_serve.domain.health import HealthRules
from finsight_serve.plugin import Observed, Replica
from finsight_serve.stack.values import Stack

from .worlds import chosen, replica, stack

NEW_YORK = ZoneInfo("America/New_York")
MARKET = AutoscalingPolicy(min_replicas=2, max_replicas=4)
WEEKDAYS = WeeklyHours(
    start="09:00", end="16:00", timezone="America/New_York", days=("mon", "tue", "wed", "thu", "fri")
)
DAILY = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    smoothing_factor=0.5,
    schedule=(Window(name="market-hours", weekly=WEEKDAYS, policy=MARKET),),
)


def at(clock: str, day: int = 24) -> float:
    """Epoch seconds of a time in November 2026 in New York; the 24th is a Tuesday."""
    return datetime.fromisoformat(f"2026-11-{day}T{clock}").replace(tzinfo=NEW_YORK).timestamp()


def scheduled(policy: AutoscalingPolicy = DAILY) -> Stack:
    plain = stack(("chat", "one"))
    return replace(plain, deployments=(replace(plain.deployments[0], policy=policy),))


def begun(policy: AutoscalingPolicy = DAILY, now_s: float = at("08:00")) -> State:
    return reduce(State(), chosen(scheduled(policy)), now_s).state


def floor(state: State) -> int:
    (spec,) = want(state).backends["one"]
    assert spec.policy.schedule == ()
    return spec.policy.min_replicas


def told(step: Step, kind: str) -> list[str]:
    return [event.reason for event in step.events if event.kind == kind]


def test_at_the_edges_other_numbers_hold_and_both_moments_are_told() -> None:
    state = begun()
    assert floor(state) == 1
    opens = reduce(state, TimePassed(), at("09:00"))
    assert floor(opens.state) == 2
    (reason,) = told(opens, "policy_cut_over")
    assert "min_replicas 1 → 2" in reason and "smoothing_factor 0.5 → 1.0" in reason
    assert "market-hours opens" in reason and "late" not in reason
    closes = reduce(opens.state, TimePassed(), at("16:00"))
    assert floor(closes.state) == 1
    assert "market-hours closes" in told(closes, "policy_cut_over")[0]
    assert told(reduce(closes.state, TimePassed(), at("16:00:01")), "policy_cut_over") == []


def test_any_fact_brings_a_cut_over_that_is_due() -> None:
    step = reduce(begun(), Seen("one", Observed()), at("09:00:02"))
    assert floor(step.state) == 2 and told(step, "policy_cut_over")


def test_a_controller_that_was_dead_at_nine_applies_what_holds_now_and_says_how_late() -> None:
    left = begun()
    back = reduce(left, chosen(scheduled()), at("09:10"))
    assert floor(back.state) == 2
    assert told(back, "policy_cut_over")[0].endswith("600 s late")
    assert back.state.durable.cut_overs_late == {"chat": 1}
    closes = reduce(back.state, TimePassed(), at("16:00"))
    assert told(closes, "policy_cut_over") and closes.state.durable.cut_overs_late == {"chat": 1}


def test_one_that_was_dead_all_day_has_nothing_to_do() -> None:
    back = reduce(begun(), chosen(scheduled()), at("17:00"))
    assert floor(back.state) == 1 and told(back, "policy_cut_over") == []


def test_a_cut_over_is_due_only_when_numbers_differ() -> None:
    durable = begun().durable
    assert not is_cut_over_due(durable, at("08:59:59"))
    assert is_cut_over_due(durable, at("09:00"))
    assert not is_cut_over_due(durable, at("12:00", day=22))  # a Sunday


def test_a_clock_that_slips_undoes_nothing_and_one_that_is_set_back_is_followed() -> None:
    opened = reduce(begun(), TimePassed(), at("09:00")).state
    assert floor(reduce(opened, TimePassed(), at("08:59")).state) == 2
    back = reduce(opened, TimePassed(), at("08:30"))
    assert floor(back.state) == 1 and len(told(back, "policy_cut_over")) == 1
    assert floor(reduce(back.state, TimePassed(), at("09:00")).state) == 2


def test_a_changed_policy_is_a_change_and_no_cut_over() -> None:
    new = replace(DAILY, max_replicas=8)
    step = reduce(begun(), StackAmended(scheduled(new)), at("08:30"))
    assert told(step, "policy_changed") == ["max_replicas 4 → 8"]
    assert told(step, "policy_cut_over") == []
    assert want(step.state).backends["one"][0].policy.max_replicas == 8


def test_an_amendment_that_would_change_more_is_refused() -> None:
    other = replace(scheduled(), load_balancer=replace(scheduled().load_balancer, plugin="another"))
    step = reduce(begun(), StackAmended(other), at("08:30"))
    assert [event.kind for event in step.events] == ["amendment_refused"]
    assert step.state.durable == begun().durable


def test_an_amendment_leaves_keys_and_launches_alone() -> None:
    before = begun()
    after = reduce(before, StackAmended(scheduled(replace(DAILY, upscale_delay_s=5))), at("08:30")).state
    assert after.durable.replica_keys == before.durable.replica_keys
    assert after.durable.launches == before.durable.launches


def watched(*replicas: Replica, state: State, now_s: float) -> State:
    return reduce(state, Seen("one", Observed(replicas)), now_s).state


def test_a_cold_start_is_measured_from_ordered_to_ready() -> None:
    state = watched(state=begun(), now_s=at("08:00"))
    state = watched(replica("a", state="starting"), state=state, now_s=at("08:00:10"))
    assert cold_start_s(state.durable, "chat") is None
    state = watched(replica("a"), state=state, now_s=at("08:01:10"))
    assert cold_start_s(state.durable, "chat") == 60.0
    state = watched(replica("a"), replica("b", state="starting"), state=state, now_s=at("08:02"))
    state = watched(replica("a"), replica("b"), state=state, now_s=at("08:02:20"))
    assert state.durable.cold_starts_s["chat"] == (60.0, 20.0)
    assert cold_start_s(state.durable, "chat") == 60.0
    again = watched(replica("a"), replica("b"), state=state, now_s=at("08:03"))
    assert again.durable.cold_starts_s == state.durable.cold_starts_s


@pytest.mark.parametrize("end", ["failed", "draining"])
def test_a_start_that_fails_measures_nothing(end: str) -> None:
    state = watched(state=begun(), now_s=at("08:00"))
    state = watched(replica("a", state="starting"), state=state, now_s=at("08:00:10"))
    state = watched(replica("a", state=end), state=state, now_s=at("08:01"))
    state = watched(replica("a"), state=state, now_s=at("08:02"))
    assert cold_start_s(state.durable, "chat") is None


def test_a_start_that_was_under_way_at_the_first_look_measures_nothing() -> None:
    state = watched(replica("a", state="starting"), state=begun(), now_s=at("08:00:10"))
    state = watched(replica("a"), state=state, now_s=at("08:01"))
    assert cold_start_s(state.durable, "chat") is None


def test_another_launch_forgets_what_was_measured() -> None:
    state = watched(state=begun(), now_s=at("08:00"))
    state = watched(replica("a", state="starting"), state=state, now_s=at("08:00:10"))
    state = watched(replica("a"), state=state, now_s=at("08:01:10"))
    same = reduce(state, chosen(scheduled()), at("08:02")).state
    assert cold_start_s(same.durable, "chat") == 60.0
    other = reduce(state, chosen(scheduled(), argv="serve-faster"), at("08:02")).state
    assert cold_start_s(other.durable, "chat") is None


def test_the_floor_is_raised_ahead_by_the_measured_start() -> None:
    leading = replace(DAILY, schedule=(replace(DAILY.schedule[0], lead_s="measured"),))
    state = watched(state=begun(leading), now_s=at("08:00"))
    state = watched(replica("a", state="starting"), state=state, now_s=at("08:00:10"))
    state = watched(replica("a"), state=state, now_s=at("08:02:10"))
    assert not is_cut_over_due(state.durable, at("08:57:59"))
    ahead = reduce(state, TimePassed(), at("08:58"))
    assert floor(ahead.state) == 2
    assert told(ahead, "policy_cut_over")[0].startswith("min_replicas 1 → 2: market-hours raises its floor ahead")


@given(st.lists(st.integers(0, 3 * 24 * 3600), max_size=20))
def test_whenever_it_looks_what_holds_is_a_function_of_the_time_alone(offsets: list[int]) -> None:
    state = begun(now_s=at("00:00", day=23))
    for offset in sorted(offsets):
        state = reduce(state, TimePassed(), at("00:00", day=23) + offset).state
        moment = datetime.fromtimestamp(state.now_s, NEW_YORK)
        assert floor(state) == (2 if 9 <= moment.hour < 16 and moment.weekday() < 5 else 1)


def test_differences_name_the_field() -> None:
    new = replace(
        scheduled(replace(DAILY, max_replicas=8, schedule=(replace(DAILY.schedule[0], lead_s=60.0),))),
        health=HealthRules(period_s=3),
    )
    assert sorted(differences(scheduled(), new)) == [
        "deployments.chat.policy.max_replicas: 4 → 8",
        "deployments.chat.policy.schedule.market-hours.lead_s: 0.0 → 60.0",
        "health.period_s: 10.0 → 3",
    ]
    assert list(obstacles(scheduled(), new)) == []


def test_obstacles_are_what_needs_a_new_start() -> None:
    new = replace(scheduled(), deployments=(replace(scheduled().deployments[0], model="another"),))
    assert list(obstacles(scheduled(), new)) == ["deployments.chat.model: a-model → another"]
