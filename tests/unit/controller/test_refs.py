"""Native endpoints of deployments, as the route table passes them on."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.controller.facts import Applied, Fact, Seen, TimePassed, Unseen
from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import State
from finsight_serve.plugin import Observed, Replica

from .worlds import after, chosen, recalled, replica, stack

STACK = stack(("chat", "one"), ("code", "two"))
MOVED = stack(("chat", "two"), ("code", "two"))


def see(backend: str, *replicas: Replica, note: str = "", **refs: str) -> Seen:
    return Seen(backend, Observed(replicas, refs=refs, notes={"chat": note}))


def refs(state: State) -> dict[str, str]:
    return dict(route_table(state).refs)


def test_they_are_those_of_the_stacks_deployments() -> None:
    state = after(chosen(STACK), see("one", replica("1"), chat="r1", other="r9"), see("two", code="r2"))
    assert refs(state) == {"chat": "r1", "code": "r2"}


def test_what_is_no_longer_observed_is_gone() -> None:
    state = after(chosen(STACK), see("one", replica("1"), chat="r1"), see("one", replica("1")))
    assert refs(state) == {}


def test_they_outlive_a_restart_and_a_backend_that_can_not_be_looked_at() -> None:
    state = after(chosen(STACK), see("one", replica("1"), chat="r1"), Unseen("one", "no route"))
    assert refs(state) == {"chat": "r1"}
    again = recalled(state)
    assert refs(again) == {"chat": "r1"}
    again = after(Unseen("one", "no route"), see("two", code="r2"), TimePassed(), state=again)
    assert refs(again) == {"chat": "r1", "code": "r2"}
    assert refs(recalled(again)) == {"chat": "r1", "code": "r2"}


def test_none_stands_for_a_deployment_that_is_still_served_from_elsewhere() -> None:
    """The Service of the new backend has no endpoint yet, while the old one's replicas answer."""
    state = after(chosen(STACK), see("one", replica("1"), chat="r1"), see("two", replica("2", "code"), code="r2"))
    state = after(chosen(MOVED), see("two", replica("2", "code"), code="r2", chat="r3"), state=state)
    assert refs(state) == {"code": "r2"}
    both = (replica("2", "code"), replica("3"))
    state = after(see("two", *both, code="r2", chat="r3"), see("one"), state=state)
    assert refs(state) == {"chat": "r3", "code": "r2"}
    state = after(Applied("one", emptied=True), state=state)
    assert refs(recalled(state)) == {"chat": "r3", "code": "r2"}


def test_another_one_is_another_route_table_and_other_notes_are_none() -> None:
    state = after(chosen(STACK), see("one", replica("1"), chat="r1"))
    noted = after(see("one", replica("1"), note="wants 4", chat="r1"), state=state)
    assert noted.table is state.table
    changed = after(see("one", replica("1"), chat="r2"), state=noted)
    assert changed.durable.route_version == state.durable.route_version + 1


def test_what_a_tenant_was_assigned_stays_beside_what_can_answer_now() -> None:
    state = after(chosen(STACK), see("one"), see("two", replica("2", "code")))
    (route,) = route_table(state).routes
    assert route.assigned == {"chat": 100}
    assert dict(route.weights) == {"code": 100}  # the same model, and well
    (route,) = route_table(after(see("two"), state=state)).routes
    assert (dict(route.weights), route.assigned) == ({}, {"chat": 100})


REPLICAS = st.lists(st.sampled_from([replica("1"), replica("2", "code"), replica("3", state="starting")]), unique=True)
REFS = st.dictionaries(st.sampled_from(["chat", "code", "gone"]), st.sampled_from(["r1", "r2"]))
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        lambda backend, replicas, found: Seen(backend, Observed(tuple(replicas), refs=found)),
        st.sampled_from(["one", "two"]),
        REPLICAS,
        REFS,
    ),
    st.builds(Unseen, st.sampled_from(["one", "two"]), st.just("no route")),
    st.sampled_from([chosen(STACK), chosen(MOVED)]),
    st.just(TimePassed()),
)


@settings(max_examples=200)
@given(st.lists(FACTS, max_size=12))
def test_a_restart_changes_none(facts: list[Fact]) -> None:
    state = after(chosen(STACK), *facts)
    table, again = route_table(state), route_table(recalled(state))
    assert again.refs == table.refs
    assert replace(again, shadow_socket=table.shadow_socket) == table
