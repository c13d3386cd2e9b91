"""Whatever happens to a migration, and wherever its controller stops: routes that work, and an end."""

from dataclasses import replace

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
    TimePassed,
    Unseen,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import LOAD_BALANCER, MigrationFigures, State
from finsight_serve.controller.want import want
from finsight_serve.domain.figures import Figures
from finsight_serve.domain.migration import OVER
from finsight_serve.plugin import Observed

from .stories import MOVE, RULES, STACK
from .worlds import after, chosen, probed, recalled, replica, seen

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


@settings(max_examples=200, deadline=None)
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
