"""Whatever happened, and wherever the controller dies: once it has looked again, it wants what it wanted before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.controller.facts import Applied, Fact, NotApplied, Seen, TenantKeyIssued, Unseen
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER, State
from finsight_serve.controller.want import route_table, want

from .worlds import BOTH, chosen, probed, recalled, replica, seen, stack

BACKENDS = ("one", "two")
OF = {"one": "chat", "two": "code"}
STACKS = [
    BOTH,
    stack(("chat", "one")),
    stack(("chat", "two")),
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
    st.builds(NotApplied, st.sampled_from(BACKENDS), st.just("no")),
    st.builds(TenantKeyIssued, st.just("default"), st.sampled_from(["h1", "h2"])),
)
HISTORIES = st.lists(FACTS, max_size=25).map(lambda facts: [chosen(STACKS[0]), *facts])


def reborn(state: State) -> State:
    """What a new controller knows after its first look at every backend."""
    again = recalled(state)
    for backend, observed in state.observed.items():
        again = reduce(again, Seen(backend, observed), state.now_s).state
    return again


@settings(max_examples=200)
@given(HISTORIES)
def test_a_crash_after_any_prefix_changes_no_want(facts: list[Fact]) -> None:
    state = State()
    for fact in facts:
        state = reduce(state, fact, 1.0).state
        assert want(reborn(state)) == want(state)


@given(HISTORIES)
def test_what_holds_in_every_state(facts: list[Fact]) -> None:
    state, published = State(), None
    for fact in facts:
        before, state = state, reduce(state, fact, 1.0).state
        wants, table = want(state), route_table(state)
        assert not {r.id for r in table.replicas} & set(state.durable.evicting)
        assert all(r.state == "ready" for r in table.replicas)
        assert all(specs or name in state.durable.retired for name, specs in wants.backends.items())
        if published is not None and wants.routes is not None:
            assert (state.durable.route_version != before.durable.route_version) == (published != wants.routes)
        published = wants.routes or published
