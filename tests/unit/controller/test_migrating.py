"""A tenant moved through the reducer: what is wanted at each stage, and what is refused."""

from dataclasses import replace

import pytest

from finsight_serve.controller.facts import (
    Applied,
    Fact,
    Measured,
    MigrationPaused,
    MigrationResumed,
    MigrationsAsked,
    RollbackAsked,
    StopAsked,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER, MigrationFigures
from finsight_serve.domain.figures import Figures

from .stories import BAD, GOOD, MOVE, RULES, STACK, Story, limits, moving
from .worlds import chosen, probed, replica, seen


def test_nothing_moves_before_the_destination_is_probed() -> None:
    story = Story().ask(MOVE)
    assert story.weights == {"old": 100}
    story.tell(probed("2", "ok"))
    assert story.migration.phase == "shifting"
    assert story.weights == {"old": 90, "new": 10}


def test_the_destination_is_held_at_as_many_replicas_as_the_source_has() -> None:
    story = Story().tell(seen("one", replica("1", "old"), replica("3", "old"), replica("4", "old")))
    story.ask(MOVE)
    assert (story.migration.phase, story.floor) == ("preparing", 3)
    story.tell(seen("two", replica("2", "new"), replica("5", "new"), replica("6", "new")))
    assert story.migration.phase == "probing"
    story.tell(RollbackAsked("m-1"))
    assert story.floor == 1


def test_step_by_step_to_the_end() -> None:
    story = moving().prove()
    assert story.weights == {"new": 100}
    story.prove().see_streams(old=1).wait(3)
    assert story.migration.phase == "draining"
    story.see_streams(old=0)
    assert (story.migration.phase, story.weights) == ("done", {"new": 100})
    assert story.state.durable.assignments == {"default": {"new": 100}}
    assert [kind for kind in story.kinds if kind.startswith("migration")][-1] == "migration_done"


def test_a_step_counts_from_its_own_table_being_in_force() -> None:
    story = moving().measure(GOOD).wait(60).measure(GOOD)
    assert story.weights == {"old": 90, "new": 10}, "its table was never applied"
    stale = Applied(LOAD_BALANCER, emptied=False, route_version=story.migration.records[-1].from_version - 1)
    story.tell(stale).measure(GOOD).wait(60).measure(GOOD)
    assert story.weights == {"old": 90, "new": 10}, "an older table was"
    assert story.prove().weights == {"new": 100}


def test_figures_of_an_earlier_step_prove_nothing() -> None:
    story = moving().apply().measure(GOOD).wait(RULES.hold_s)
    assert story.weights == {"new": 100}
    stale = Measured({}, {"m-1": MigrationFigures(GOOD, Figures(), story.migration.records[0].from_version)}, {})
    story.apply().tell(stale).wait(RULES.hold_s)
    assert story.migration.phase == "shifting"


def test_a_limit_rolls_back_and_the_old_weights_hold() -> None:
    rules = replace(RULES, limits=limits("error_rate<=10%"))
    story = Story().ask(replace(MOVE, rules=rules)).tell(probed("2", "ok")).prove(BAD)
    assert (story.migration.phase, story.weights) == ("rolling_back", {"old": 100})
    story.apply().see_streams(new=0).wait(5)
    assert story.migration.phase == "rolled_back"
    assert not story.state.durable.assignments


def test_what_was_asked_for_twice_is_refused_once() -> None:
    story = moving()
    again = reduce(story.state, MigrationsAsked((replace(MOVE, id="m-2"),)), story.now_s)
    assert "m-1" in again.refused
    assert again.state == story.state


@pytest.mark.parametrize("fact", [MigrationPaused("m-9"), MigrationResumed("m-9"), RollbackAsked("m-9")])
def test_an_unknown_migration_is_refused(fact: Fact) -> None:
    assert "m-9" in reduce(moving().state, fact, 100.0).refused


def test_what_is_over_can_not_be_rolled_back() -> None:
    story = moving().tell(RollbackAsked("m-1")).apply().see_streams().wait(10)
    assert story.migration.phase == "rolled_back"
    assert "over" in reduce(story.state, RollbackAsked("m-1"), story.now_s).refused


def test_a_pause_holds_a_step() -> None:
    story = moving().tell(MigrationPaused("m-1")).prove().wait(100)
    assert story.weights == {"old": 90, "new": 10}
    assert story.tell(MigrationResumed("m-1")).wait(100).measure(GOOD).weights == {"new": 100}


def test_it_holds_while_the_stack_is_taken_down_and_comes_up_again() -> None:
    story = moving().tell(StopAsked(keep=frozenset()), seen("two"), seen("one"), Applied(LOAD_BALANCER, emptied=True))
    assert story.migration.phase == "shifting"
    story.tell(chosen(STACK), seen("two"), seen("one"))
    assert story.migration.phase == "shifting"
    story.tell(seen("one", replica("1", "old")), seen("two", replica("2", "new"))).prove()
    assert story.weights == {"new": 100}


def test_a_file_that_names_another_deployment_wins_over_where_a_tenant_was_moved() -> None:
    story = moving().prove().prove().see_streams().wait(5)
    assert story.migration.phase == "done"
    story.tell(chosen(STACK))
    assert story.weights == {"new": 100}, "the same file as before changes nothing"
    moved = replace(STACK, tenants=(replace(STACK.tenants[0], deployment="new"),))
    story.tell(chosen(moved), chosen(STACK))
    assert story.weights == {"old": 100}


def test_a_later_wave_waits_for_the_one_before() -> None:
    two = replace(STACK, tenants=(STACK.tenants[0], replace(STACK.tenants[0], name="other")))
    later = replace(MOVE, id="m-2", tenant="other", batch="m-1", wave=1)
    story = Story().tell(chosen(two)).ask(replace(MOVE, batch="m-1"), later).tell(probed("2", "ok"))
    assert (story.migration.phase, story.state.durable.migrations["m-2"].phase) == ("shifting", "planned")
    story.tell(RollbackAsked("m-1")).apply().see_streams().wait(10)
    assert story.state.durable.migrations["m-2"].phase == "failed"
