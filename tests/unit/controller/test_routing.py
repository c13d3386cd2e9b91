"""Where tenants' requests go while the stack, the world and the tenants' migrations change."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.controller.facts import (
    Applied,
    Fact,
    Measured,
    MigrationPaused,
    MigrationsAsked,
    RollbackAsked,
    Seen,
    StopAsked,
    TenantAdded,
    TimePassed,
)
from finsight_serve.controller.numbering import pass_numbers
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.routing import assigned, assignments, route_table
from finsight_serve.controller.state import LOAD_BALANCER, MigrationFigures, State
from finsight_serve.controller.tenancy import tenants
from finsight_serve.controller.want import want
from finsight_serve.domain.breaker import Breaker
from finsight_serve.domain.migration import Migration, MigrationRules
from finsight_serve.plugin import Observed
from finsight_serve.stack.values import Stack, Tenant

from .worlds import TENANT_FACTS, after, chosen, probed, recalled, replica, seen, stack

STACK = stack(("old", "one"), ("new", "two"), ("mid", "one"))
RULES = MigrationRules(steps=(10, 100), hold_s=5, min_requests=0)
MOVE = Migration("M1", "default", {}, "new", RULES, batch="M1")
EVERYTHING = (seen("one", replica("1", "old"), replica("3", "mid")), seen("two", replica("2", "new")))


def applied(state: State) -> Applied:
    return Applied(LOAD_BALANCER, emptied=False, route_version=state.durable.route_version)


def up(*facts: Fact, stack: Stack = STACK) -> State:
    """Everything is ready and serves; then `facts`."""
    state = after(chosen(stack), *EVERYTHING)
    return after(applied(state), *facts, state=state)


def moving(state: State, *migrations: Migration) -> State:
    """Their destinations answer the probe, and nobody asked anything on the last day."""
    figures = {one.id: MigrationFigures() for one in migrations}
    return after(MigrationsAsked(migrations), Measured({}, figures, {}), probed("2", "ok"), state=state)


def weights(state: State, tenant: str = "default") -> dict[str, int]:
    return {route.tenant: dict(route.weights) for route in route_table(state).routes}[tenant]


def without_deployments(*gone: str) -> Stack:
    return replace(STACK, deployments=tuple(d for d in STACK.deployments if d.name not in gone))


def on(deployment: str, file: Stack = STACK) -> Stack:
    """`file` with its tenant there."""
    return replace(file, tenants=(Tenant("default", deployment),))


def test_weights_of_many_are_those_of_each() -> None:
    state = moving(up(TenantAdded(Tenant("acme", "mid"), "h1")), MOVE)
    each = {tenant.name: dict(assigned(state.durable, tenant)) for tenant in tenants(state.durable)}
    assert each == {"default": {"old": 90, "new": 10}, "acme": {"mid": 100}}
    assert assignments(state.durable, each.keys()) == each
    assert assignments(state.durable, {"acme", "nobody"}) == {"acme": {"mid": 100}}


@pytest.mark.parametrize("phase", ["preparing", "probing", "shifting"])
def test_a_tenant_whose_only_deployment_left_the_file_is_where_it_was_to_be_moved(phase: str) -> None:
    state = up(TenantAdded(Tenant("acme", "old"), "h1"))
    if phase == "preparing":
        state = after(seen("one", replica("1", "old"), replica("9", "old"), replica("3", "mid")), state=state)
    ask = MigrationsAsked((replace(MOVE, tenant="acme"),))
    state = moving(state, *ask.migrations) if phase == "shifting" else after(ask, MigrationPaused("M1"), state=state)
    assert state.durable.migrations["M1"].phase == phase
    state = after(chosen(on("mid", without_deployments("old"))), state=state)
    assert weights(state, "acme") == {"new": 100}


def test_a_rollback_to_what_left_the_stack_is_refused_and_takes_nobody_anything() -> None:
    state = moving(up(TenantAdded(Tenant("acme", "old"), "h1")), replace(MOVE, tenant="acme"))
    down = (StopAsked(frozenset()), seen("one"), seen("two"), Applied(LOAD_BALANCER, emptied=True))
    state = after(*down, chosen(on("mid", without_deployments("old"))), EVERYTHING[1], state=state)
    assert not state.durable.serving and weights(state, "acme") == {"new": 100}
    step = reduce(state, RollbackAsked("M1", "ann"), state.now_s)
    assert step.refused.startswith("migration M1: tenant acme can't go back, since old left the stack; put it back")
    assert step.state == state


def test_what_was_not_begun_is_given_up_only_if_its_tenant_stays_somewhere() -> None:
    """The tenant of the file has another deployment there; the added one has none left."""
    state = up(TenantAdded(Tenant("acme", "old"), "h1"))
    both = (MOVE, replace(MOVE, id="M2", tenant="acme"))
    state = after(MigrationsAsked(both), chosen(on("new", without_deployments("old"))), state=state)
    assert reduce(state, RollbackAsked("M2"), 1.0).refused
    given_up = after(RollbackAsked("M1"), state=state)
    assert weights(given_up) == {"new": 100}


def test_a_file_that_wants_a_tenant_elsewhere_ends_its_migration() -> None:
    state = moving(up(), MOVE)
    step = reduce(state, chosen(on("mid")), 1.0)
    state = step.state
    reason = "the file now has default on mid"
    assert ("migration_rollback_asked", "M1", reason) in [(e.kind, e.subject, e.reason) for e in step.events]
    assert (state.durable.migrations["M1"].phase, weights(state)) == ("rolling_back", {"old": 100})
    state = after(applied(state), state=state, now_s=2.0)
    none_open = Seen(LOAD_BALANCER, Observed(open_streams={}))
    state = after(none_open, state=state, now_s=60.0)
    assert (state.durable.migrations["M1"].phase, weights(state)) == ("rolled_back", {"mid": 100})


def test_a_file_that_agrees_with_a_migration_lets_it_go_on() -> None:
    state = after(chosen(on("new")), state=moving(up(), MOVE))
    assert (state.durable.migrations["M1"].phase, weights(state)) == ("shifting", {"old": 90, "new": 10})


def test_with_no_source_left_the_file_is_heeded_at_once() -> None:
    state = after(chosen(on("mid", without_deployments("old"))), state=moving(up(), MOVE))
    migration = state.durable.migrations["M1"]
    assert (migration.phase, migration.proof) == ("rolled_back", "unproven: its sources are gone")
    assert weights(state) == {"mid": 100}


def test_an_added_tenant_that_was_moved_stays_there_when_the_file_takes_it_over_as_it_was() -> None:
    state = up(TenantAdded(Tenant("acme", "old"), "h1"))
    state = replace(state, durable=replace(state.durable, assignments={"acme": {"new": 100}}))
    taken_over = replace(STACK, tenants=(*STACK.tenants, Tenant("acme", "old")))
    assert weights(after(chosen(taken_over), state=state), "acme") == {"new": 100}
    elsewhere = replace(STACK, tenants=(*STACK.tenants, Tenant("acme", "mid")))
    assert weights(after(chosen(elsewhere), state=state), "acme") == {"mid": 100}
    assert weights(after(chosen(STACK), state=state), "acme") == {"new": 100}, "the file does not speak of it"


def test_a_step_that_changes_no_weights_has_a_number_of_its_own() -> None:
    """The source's breaker is open: all goes to the destination before the step and in it."""
    state = up(stack=stack(("old", "one"), ("new", "two")))
    broken = replace(state.durable, breakers={"old": Breaker("open", 0.0, 1, "no answers")})
    state = after(TimePassed(), state=replace(state, durable=broken, table=None))
    state = after(applied(state), state=state)
    before, version = weights(state), state.durable.route_version
    state = moving(state, MOVE)
    (record,) = state.durable.migrations["M1"].records
    assert weights(state) == before
    assert record.from_version == state.durable.route_version == version + 1
    assert after(TimePassed(), state=state).durable.route_version == version + 1, "and only the step's beginning"


def test_the_floor_is_what_all_sources_have_together() -> None:
    """And what one source has once, however many of its tenants are moved."""
    state = up(
        seen("one", *(replica(f"1{n}", "old") for n in range(2)), *(replica(f"3{n}", "mid") for n in range(1))),
        TenantAdded(Tenant("acme", "mid"), "h1"),
        TenantAdded(Tenant("beta", "old"), "h2"),
    )
    state = after(MigrationsAsked((MOVE, replace(MOVE, id="M2", tenant="beta"))), state=state)
    assert want(state).backends["two"][0].policy.min_replicas == 2
    state = after(MigrationsAsked((replace(MOVE, id="M3", tenant="acme"),)), state=state)
    assert want(state).backends["two"][0].policy.min_replicas == 3


def test_a_destination_that_the_file_puts_on_another_backend_serves_from_the_old_one_meanwhile() -> None:
    state = moving(up(), MOVE)
    elsewhere = stack(("old", "one"), ("new", "three"), ("mid", "one"))
    state = after(chosen(elsewhere), seen("three", replica("7", "new", "starting")), state=state)
    assert (state.durable.migrations["M1"].phase, weights(state)) == ("shifting", {"old": 90, "new": 10})
    state = after(seen("two"), state=state)
    assert state.durable.migrations["M1"].phase == "rolling_back", "the old one is gone and the new one not up"


def test_numbers_that_requests_bear_already_are_passed_over() -> None:
    state = moving(up(), MOVE)
    first = state.durable.migrations["M1"].records[0]
    assert pass_numbers(state, state.durable.route_version) is state
    again = after(TimePassed(), state=pass_numbers(recalled(state), 50))
    migration = again.durable.migrations["M1"]
    assert again.durable.route_version == 51
    assert [(one.percent, one.from_version) for one in migration.records] == [(10, first.from_version), (10, 51)]
    assert migration.in_force_s is None, "the step begins anew"
    assert after(TimePassed(), state=again).durable.route_version == 51


ASKED = st.builds(
    MigrationsAsked,
    st.builds(
        lambda number, tenant, to: (replace(MOVE, id=f"M{number}", tenant=tenant, destination=to),),
        st.integers(1, 9),
        st.sampled_from(["default", "acme", "beta"]),
        st.sampled_from(["new", "mid"]),
    ),
)
CHANGES: st.SearchStrategy[Fact | str] = st.one_of(
    TENANT_FACTS,
    ASKED,
    st.sampled_from([RollbackAsked("M1"), RollbackAsked("M2")]),
    st.sampled_from([*EVERYTHING, seen("one"), seen("two", replica("2", "new", "starting")), probed("2", "ok")]),
    st.sampled_from([chosen(STACK), chosen(on("mid")), chosen(without_deployments("mid")), chosen(STACK, argv="run")]),
    st.builds(lambda n: Seen(LOAD_BALANCER, Observed(open_streams={("default", "new"): n})), st.integers(0, 2)),
    st.sampled_from(["apply", "measure"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CHANGES, st.integers(0, 20)), max_size=60))
def test_the_table_that_is_kept_is_the_one_that_would_be_made_now(history: list[tuple[Fact | str, int]]) -> None:
    state, now_s = moving(up(), MOVE), 0.0
    for change, passed_s in history:
        now_s += passed_s
        fact = (
            {
                "apply": applied(state),
                "measure": Measured({}, {id: MigrationFigures() for id in state.durable.migrations}, {}),
            }[change]
            if isinstance(change, str)
            else change
        )
        state = reduce(state, fact, now_s).state
        made = route_table(state)
        assert state.table == made
        kept = state.table.routes if state.table else ()
        assert [list(route.weights) for route in kept] == [list(route.weights) for route in made.routes]
