"""Whatever happened, and wherever the controller dies: once it has looked again, it wants what it wanted before."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.controller.facts import Applied, Fact, NotApplied, Seen, TenantKeyIssued, Unseen
from finsight_serve.controller.leaving import members
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER, State
from finsight_serve.controller.want import route_table, want
from finsight_serve.stack.values import PluginRef

from .worlds import BOTH, chosen, probed, recalled, replica, seen, stack

BACKENDS = ("one", "two")
OF = {"one": "chat", "two": "code"}
STACKS = [
    BOTH,
    stack(("chat", "one")),
    stack(("chat", "two")),
    replace(BOTH, edge=PluginRef("an-edge")),
    replace(BOTH, load_balancer=PluginRef("an-edge")),
]
IDS = {"one": ("1", "2", "3"), "two": ("7", "8")}


@st.composite
def snapshots(draw: st.DrawFn) -> Seen:
    backend = draw(st.sampled_from(BACKENDS))
    states = st.sampled_from(["starting", "ready", "draining", "failed"])
    present = draw(st.dictionaries(st.sampled_from(IDS[backend]), states))
    return seen(backend, *(replica(id, OF[backend], state) for id, state in present.items()))


FACTS = st.one_of(
    snapshots(),
    snapshots(),
    st.builds(
        lambda s, argv, salt: chosen(s, argv=argv, salt=str(salt)),
        st.sampled_from(STACKS),
        st.sampled_from(["v1", "v2"]),
        st.integers(0, 9),
    ),
    st.builds(
        probed,
        st.sampled_from(IDS["one"] + IDS["two"]),
        st.sampled_from(["ok", "timeout", "wrong"]),
        moved=st.booleans(),
    ),
    st.builds(Unseen, st.sampled_from(BACKENDS), st.just("away")),
    st.builds(Applied, st.sampled_from((LOAD_BALANCER, *BACKENDS)), st.just(False)),
    st.builds(Applied, st.sampled_from((*BACKENDS, "behind_edge/a-balancer", "load_balancer/an-edge")), st.just(True)),
    st.builds(NotApplied, st.sampled_from(BACKENDS), st.just("no")),
    st.builds(TenantKeyIssued, st.just("default"), st.sampled_from(["h1", "h2"])),
)
HISTORIES = st.lists(FACTS, max_size=25).map(lambda facts: [chosen(STACKS[0]), *facts])


def told(state: State, fact: Fact) -> State:
    """After `fact`. A load balancer that was told something was told the newest route table."""
    if isinstance(fact, Applied) and fact.backend == LOAD_BALANCER:
        fact = replace(fact, route_version=state.durable.route_version)
    return reduce(state, fact, 1.0).state


def reborn(state: State) -> State:
    """What a new controller knows after its first look at every backend, and once it has given the routes again."""
    again = recalled(state)
    for backend, observed in state.observed.items():
        again = reduce(again, Seen(backend, observed), state.now_s).state
    if state.routes_in_force:
        again = reduce(again, Applied(LOAD_BALANCER, False, state.routes_in_force), state.now_s).state
    return again


@settings(max_examples=200)
@given(HISTORIES)
def test_a_crash_after_any_prefix_changes_no_want(facts: list[Fact]) -> None:
    state = State()
    for fact in facts:
        state = told(state, fact)
        assert want(reborn(state)) == want(state)


@given(HISTORIES)
def test_what_holds_in_every_state(facts: list[Fact]) -> None:
    state, published = State(), None
    for fact in facts:
        before, state = state, told(state, fact)
        wants, table = want(state), route_table(state)
        assert not {r.id for r in table.replicas} & set(state.durable.evicting)
        assert all(r.state == "ready" for r in table.replicas)
        emptied = {name for name, specs in wants.backends.items() if not specs}
        assert emptied <= set(state.durable.retired)
        assert not emptied or state.routes_in_force == state.durable.route_version
        assert state.durable.stack and not set(state.durable.retired) & set(members(state.durable.stack))
        if published is not None and wants.routes is not None:
            assert (state.durable.route_version != before.durable.route_version) == (published != wants.routes)
        published = wants.routes or published
