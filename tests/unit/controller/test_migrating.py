"""A tenant moved through the reducer: what is wanted at each stage, who refuses, and a crash anywhere."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.controller.facts import (
    Applied,
    Fact,
    Measured,
    MigrationPaused,
    MigrationResumed,
    MigrationsAsked,
    RollbackAsked,
    Seen,
    StopAsked,
    TimePassed,
    Unseen,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import LOAD_BALANCER, MigrationFigures, State
from finsight_serve.controller.want import want
from finsight_serve.domain.breaker import Breaker, BreakerState
from finsight_serve.domain.figures import Figures
from finsight_serve.domain.migration import OVER, Migration, MigrationRules, ShiftRecord
from finsight_serve.plugin import Observed

from .worlds import after, chosen, probed, recalled, replica, seen, stack

STACK = stack(("old", "one"), ("new", "two"))
RULES = MigrationRules(
    steps=(10, 100),
    hold_s=5,
    min_requests=3,
    prepare_deadline_s=100,
    step_deadline_s=1000,
    drain_deadline_s=50,
)
MOVE = Migration("m-1", "default", {}, "new", RULES)
GOOD, BAD = Figures(requests=5), Figures(requests=5, failed=5, failures_in_a_row=5)


class Story:
    """Facts told one after the other, two seconds apart, with what a controller would report of itself in between."""

    def __init__(self) -> None:
        self.state, self.now_s, self.kinds = State(), 0.0, list[str]()
        self.tell(chosen(STACK), seen("one", replica("1", "old")), seen("two", replica("2", "new")))
        self.see_streams()
        self.apply()

    def tell(self, *facts: Fact) -> "Story":
        for fact in facts:
            self.now_s += 2
            step = reduce(self.state, fact, self.now_s)
            assert not step.refused, step.refused
            self.state = step.state
            self.kinds += [event.kind for event in step.events]
        return self

    def ask(self, *migrations: Migration, by: str = "") -> "Story":
        """And the ledger says that the tenant asked nothing on the last day."""
        self.tell(MigrationsAsked(migrations, by))
        return self.tell(Measured({}, {migration.id: MigrationFigures() for migration in migrations}, {}))

    def apply(self) -> "Story":
        return self.tell(Applied(LOAD_BALANCER, emptied=False, route_version=self.state.durable.route_version))

    def see_streams(self, old: int = 0, new: int = 0) -> "Story":
        counts = {("default", "old"): old, ("default", "new"): new}
        return self.tell(Seen(LOAD_BALANCER, Observed(open_streams=counts)))

    def measure(self, figures: Figures) -> "Story":
        """The destination's, as of the present step."""
        records = self.migration.records
        version = records[-1].from_version if records else 0
        return self.tell(Measured({}, {"m-1": MigrationFigures(figures, Figures(), version)}, {}))

    def wait(self, seconds: float) -> "Story":
        self.now_s += seconds
        return self.tell(TimePassed())

    @property
    def migration(self) -> Migration:
        return self.state.durable.migrations["m-1"]

    @property
    def weights(self) -> dict[str, int]:
        (route,) = route_table(self.state).routes
        return dict(route.weights)

    @property
    def floor(self) -> int:
        return want(self.state).backends["two"][0].policy.min_replicas

    def prove(self, figures: Figures = GOOD) -> "Story":
        return self.apply().measure(figures).wait(RULES.hold_s).measure(figures)


def moving() -> Story:
    return Story().ask(MOVE, by="ann").tell(probed("2", "ok"))


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


def limits(text: str) -> tuple[object, ...]:
    from finsight_serve.domain.limit import parse_limit

    return (parse_limit(text),)


REPLICAS = {"one": ("1", "3"), "two": ("2", "4")}
OF = {"one": "old", "two": "new"}


@st.composite
def snapshots(draw: st.DrawFn) -> Seen:
    backend = draw(st.sampled_from(("one", "two")))
    present = draw(st.sets(st.sampled_from(REPLICAS[backend])))
    return seen(backend, *(replica(id, OF[backend]) for id in sorted(present)))


FIGURES = st.builds(
    lambda requests, failed: Figures(requests=requests, failed=min(failed, requests)),
    st.integers(0, 30),
    st.integers(0, 3),
)
EVENTS = st.one_of(
    snapshots(),
    st.sampled_from(["apply", "streams", "measure", "wait"]),
    st.builds(lambda old, new: ("streams", old, new), st.integers(0, 2), st.integers(0, 2)),
    st.builds(lambda figures: ("measure", figures), FIGURES),
    st.builds(probed, st.sampled_from(("1", "2", "3", "4")), st.sampled_from(("ok", "ok", "wrong"))),
    st.sampled_from([MigrationPaused("m-1"), MigrationResumed("m-1"), RollbackAsked("m-1")]),
    st.just(MigrationsAsked((MOVE,))),
)


def as_fact(state: State, event: object) -> Fact:
    migration = state.durable.migrations.get("m-1")
    version = migration.records[-1].from_version if migration and migration.records else 0
    match event:
        case "apply":
            return Applied(LOAD_BALANCER, emptied=False, route_version=state.durable.route_version)
        case ("streams", int(old), int(new)):
            counts = {("default", "old"): old, ("default", "new"): new}
            return Seen(LOAD_BALANCER, Observed(open_streams=counts))
        case ("measure", Figures() as figures):
            return Measured({"new": figures}, {"m-1": MigrationFigures(figures, figures, version)}, {})
        case str():
            return TimePassed()
    return event  # type: ignore[return-value]


def reborn(state: State) -> State:
    """What a new controller knows once it has looked at everything and applied its table again, in no time."""
    again = recalled(state)
    return replace(
        again,
        observed=state.observed,
        health=state.health,
        load=state.load,
        measured=state.measured,
        migration_figures=state.migration_figures,
        shadow_reports=state.shadow_reports,
        routes_in_force=state.routes_in_force,
        starting_since_s=state.starting_since_s,
        watched_since_s=state.watched_since_s,
    )


def begin() -> State:
    """Both deployments are ready and routed to."""
    return after(
        chosen(STACK),
        seen("one", replica("1", "old")),
        seen("two", replica("2", "new")),
        Applied(LOAD_BALANCER, emptied=False, route_version=1),
    )


@settings(max_examples=800, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.integers(0, 30)), min_size=100, max_size=150), st.sets(st.integers(0, 99)))
def test_whatever_happens_a_live_deployment_is_routed_to_and_a_restart_changes_nothing(
    history: list[tuple[object, int]], restarts: set[int]
) -> None:
    state, interrupted, now_s = begin(), begin(), 0.0
    for index, (event, passed_s) in enumerate(history):
        now_s += passed_s
        fact = as_fact(state, event)
        if index in restarts:
            interrupted = reborn(interrupted)
        state, interrupted = reduce(state, fact, now_s).state, reduce(interrupted, fact, now_s).state
        assert interrupted.durable == state.durable
        assert want(interrupted) == want(state)
        table = route_table(state)
        (route,) = table.routes
        live = {one.deployment for one in table.replicas} - {
            name for name, breaker in state.durable.breakers.items() if breaker.state != "closed"
        }
        assert sum(route.weights.values()) in (0, 100)
        if live:
            assert sum(percent for name, percent in route.weights.items() if name) == 100


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.integers(0, 30)), max_size=60), st.integers(0, 10**6))
def test_time_that_passes_for_a_controller_that_has_seen_nothing_changes_no_migration(
    history: list[tuple[object, int]], outage_s: int
) -> None:
    state, now_s = begin(), 0.0
    for event, passed_s in history:
        now_s += passed_s
        state = reduce(state, as_fact(state, event), now_s).state
    blind = recalled(state)
    for fact in (chosen(STACK), TimePassed(), Measured({}, {}, {}), Unseen("two", "down"), TimePassed()):
        now_s += outage_s
        blind = reduce(blind, fact, now_s).state
        assert blind.durable.migrations == state.durable.migrations


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.integers(0, 30)), max_size=40))
def test_every_migration_that_is_not_paused_ends(history: list[tuple[object, int]]) -> None:
    state, now_s = reduce(begin(), MigrationsAsked((MOVE,)), 0.0).state, 0.0
    for event, passed_s in history:
        now_s += passed_s
        state = reduce(state, as_fact(state, event), now_s).state
    if state.durable.migrations["m-1"].paused:
        state = reduce(state, MigrationResumed("m-1"), now_s).state
    for _ in range(20):
        now_s += RULES.step_deadline_s
        state = reduce(state, as_fact(state, "apply"), now_s).state
    assert state.durable.migrations["m-1"].phase in OVER
