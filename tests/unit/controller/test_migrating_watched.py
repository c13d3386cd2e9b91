"""What a migration does while its controller can't see: after restarts and outages, and of old looks at the world."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from finsight_serve.controller.facts import (
    Applied,
    MigrationsAsked,
    RollbackAsked,
    StopAsked,
    Unseen,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER
from finsight_serve.domain.breaker import Breaker, BreakerState
from finsight_serve.domain.migration import ShiftRecord

from .stories import BAD, GOOD, MOVE, RULES, STACK, Story, limits, moving
from .worlds import chosen, probed, recalled, replica, seen, stack


def restarted(story: Story, passed_s: float = 0.0) -> Story:
    """A new controller that has not looked at anything yet."""
    story.state = recalled(story.state)
    story.now_s += passed_s
    return story


def test_a_restart_does_not_forget_how_many_replicas_the_source_has() -> None:
    story = Story().tell(seen("one", *(replica(id, "old") for id in "1345"))).apply()
    restarted(story).tell(MigrationsAsked((MOVE,)))
    assert story.migration.phase == "planned", "nothing was looked at"
    story.see_streams()
    assert (story.migration.phase, story.floor) == ("preparing", 4)


def test_the_source_s_control_plane_is_not_needed() -> None:
    story = Story().tell(seen("one", *(replica(id, "old") for id in "1345"))).apply()
    restarted(story).tell(Unseen("one", "down"), MigrationsAsked((MOVE,)), seen("two", replica("2", "new")))
    assert (story.migration.phase, story.floor) == ("preparing", 4)
    again = Story().tell(Unseen("one", "down")).ask(MOVE).tell(probed("2", "ok")).prove()
    assert again.weights == {"new": 100}


def preparing() -> Story:
    both = seen("one", replica("1", "old"), replica("3", "old"))
    return Story().tell(both).apply().ask(MOVE)


def draining() -> Story:
    return moving().prove().prove().see_streams(old=1).wait(3)


@pytest.mark.parametrize(
    ("story", "phase"),
    [
        (preparing, "preparing"),
        (moving, "shifting"),
        (draining, "draining"),
        (lambda: moving().apply().tell(RollbackAsked("m-1")), "rolling_back"),
    ],
)
def test_an_outage_of_the_controller_ends_nothing(story: Callable[[], Story], phase: str) -> None:
    """Longer than any deadline; what it sees afterwards then counts as ever."""
    after_it = restarted(story(), passed_s=10_000.0)
    before = after_it.migration
    after_it.tell(chosen(STACK)).wait(10_000.0)
    assert (before.phase, after_it.migration) == (phase, before)
    after_it.tell(seen("one", replica("1", "old"))).wait(40.0)
    assert after_it.migration.phase == phase
    after_it.wait(1000.0)
    assert after_it.migration.phase != phase


def test_what_was_seen_of_a_backend_that_is_out_of_reach_proves_nothing() -> None:
    story = Story().tell(Unseen("two", "down")).ask(MOVE).tell(probed("2", "ok"))
    assert story.migration.phase == "preparing"
    story.tell(seen("two", replica("2", "new")), probed("2", "ok")).prove()
    assert story.weights == {"new": 100}
    story.tell(Unseen("two", "down")).prove()
    assert (story.migration.phase, story.weights) == ("shifting", {"new": 100}), "it holds"


def test_streams_counted_before_the_load_balancer_was_lost_prove_nothing() -> None:
    story = moving().prove().see_streams().apply().tell(Unseen(LOAD_BALANCER, "down")).measure(GOOD).wait(5)
    story.measure(GOOD).wait(5)
    assert story.migration.phase == "draining"
    assert story.see_streams().migration.phase == "done"


def test_a_deployment_that_does_not_come_up_holds_no_limit() -> None:
    third = stack(("old", "one"), ("new", "two"), ("third", "one"))
    rules = replace(RULES, limits=limits("error_rate<=10%"))
    story = Story().tell(chosen(third)).ask(replace(MOVE, rules=rules)).tell(probed("2", "ok")).apply().measure(GOOD)
    story.state = replace(story.state, durable=replace(story.state.durable, serving=False))
    story.wait(RULES.step_deadline_s).measure(GOOD)
    assert (story.migration.phase, story.weights) == ("shifting", {"old": 90, "new": 10})
    assert story.measure(BAD).migration.phase == "rolling_back"
    assert story.apply().wait(3).see_streams().migration.phase == "rolled_back"


def test_a_hold_is_not_satisfied_by_a_stack_that_is_down() -> None:
    story = moving().apply().measure(GOOD)
    story.tell(StopAsked(keep=frozenset()), seen("two"), seen("one"), Applied(LOAD_BALANCER, emptied=True))
    story.wait(1000.0).tell(chosen(STACK), seen("one", replica("1", "old")), seen("two", replica("2", "new")))
    story.apply().measure(GOOD)
    assert story.migration.step == 0
    assert story.wait(RULES.hold_s).migration.step == 1


def test_a_clock_that_is_set_back_holds_no_step() -> None:
    story = moving().apply()
    story.now_s -= 1000.0
    assert story.measure(GOOD).wait(RULES.hold_s).measure(GOOD).weights == {"new": 100}


def test_rules_are_checked_where_they_are_taken() -> None:
    story = Story()
    for rules, field in ((replace(RULES, steps=()), "--steps"), (replace(RULES, hold_s=-1.0), "--hold")):
        refused = reduce(story.state, MigrationsAsked((replace(MOVE, rules=rules),)), story.now_s)
        assert refused.refused.startswith(field) and refused.state == story.state


def test_nothing_of_a_migration_that_is_asked_for_is_taken_but_what_can_be_asked() -> None:
    told = replace(MOVE, phase="done", step=1, records=(ShiftRecord(50, 0.0, 1),), proof="0 failed", paused=True)
    story = Story().tell(MigrationsAsked((replace(told, prescale_replicas=9, baseline=GOOD, asked_s=-1.0),), "ann"))
    plain = Story().tell(MigrationsAsked((MOVE,), "ann"))
    assert story.migration == plain.migration
    assert (plain.migration.asked_by, plain.migration.asked_s) == ("ann", plain.now_s)
    assert plain.migration.prescale_replicas == 1


def broken(story: Story, deployment: str, state: BreakerState) -> Story:
    breakers = {deployment: Breaker(state, story.now_s, 6, "x")}
    story.state = replace(story.state, durable=replace(story.state.durable, breakers=breakers))
    return story.wait(0.0)


def test_a_half_open_destination_gets_nothing_more() -> None:
    story = broken(Story(), "new", "half_open").ask(MOVE).tell(probed("2", "ok"))
    assert story.migration.phase == "probing"
    assert broken(story, "new", "closed").migration.phase == "shifting"


def test_a_rollback_to_a_source_whose_breaker_is_open_says_so_and_ends() -> None:
    story = broken(moving().apply(), "old", "open").apply().tell(RollbackAsked("m-1")).apply().see_streams(new=3)
    assert (story.migration.phase, story.weights) == ("rolled_back", {"new": 100})
    assert "no source takes its whole share now" in story.migration.reason
