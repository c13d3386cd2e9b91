from dataclasses import replace
from hashlib import sha256

from finsight_serve.controller.facts import Applied, Fact, NotApplied, StopAsked, TenantKeyIssued, Unseen
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER, State
from finsight_serve.controller.want import is_stopped, route_table, want
from finsight_serve.plugin import KEY_HASHES_ENV, RouteTable
from finsight_serve.stack.values import PluginRef

from .worlds import after, chosen, probed, recalled, replica, seen, stack

ON_ONE = stack(("chat", "one"))


def in_force(state: State) -> Applied:
    """The load balancer was given the newest route table."""
    return Applied(LOAD_BALANCER, emptied=False, route_version=state.durable.route_version)


def kinds(state: State, fact: Fact) -> list[str]:
    return [event.kind for event in reduce(state, fact, 0.0).events]


def test_nothing_is_wanted_before_a_stack_is_chosen() -> None:
    wants = want(State())
    assert (dict(wants.backends), wants.routes) == ({}, None)


def routed(state: State) -> list[str]:
    return [replica.id for replica in route_table(state).replicas]


def test_after_a_restart_an_unseen_backend_is_routed_as_it_was_and_holds_up_no_other() -> None:
    both = stack(("chat", "one"), ("code", "two"))
    state = after(chosen(both), seen("one", replica("1")), seen("two", replica("7", "code")))
    restarted = after(chosen(both), state=State(durable=state.durable))
    assert routed(restarted) == ["1", "7"]
    assert routed(after(seen("one", replica("2")), state=restarted)) == ["2", "7"]
    assert routed(after(seen("two"), state=restarted)) == ["1"]


def test_a_second_change_in_the_middle_of_a_roll_over_locks_nobody_out() -> None:
    first = after(chosen(ON_ONE, argv="v1", salt="1"), seen("one", replica("1")))
    second = after(chosen(ON_ONE, argv="v2", salt="2"), seen("one", replica("1")), state=first)
    third = after(chosen(ON_ONE, argv="v3", salt="3"), seen("one", replica("1")), state=second)
    sent = sha256(route_table(third).upstream_keys["chat"].encode()).hexdigest()
    for state in (first, second, third):
        assert sent in want(state).backends["one"][0].launch.env[KEY_HASHES_ENV]
    settled = after(seen("one", replica("3")), state=third)
    fourth = after(chosen(ON_ONE, argv="v4", salt="4"), state=settled)
    assert fourth.durable.replica_keys["chat"].previous == third.durable.replica_keys["chat"].current


def test_asked_to_stop_again_it_goes_on_where_it_was() -> None:
    state = after(chosen(ON_ONE), StopAsked(keep=frozenset({"one"})), Applied(LOAD_BALANCER, emptied=True))
    again = after(StopAsked(keep=frozenset()), state=state)
    assert again.stopping is not None and again.stopping.edge_is_down
    assert dict(want(again).backends) == {"one": ()} and not is_stopped(again)
    assert is_stopped(after(Applied("one", emptied=True), state=again))


def test_only_ready_replicas_are_routed() -> None:
    replicas = [replica("1"), replica("2", state="starting"), replica("3", state="draining"), replica("4", "other")]
    state = after(chosen(ON_ONE), seen("one", *replicas))
    assert [r.id for r in route_table(state).replicas] == ["1"]


def test_an_evicted_replica_leaves_the_routes_and_must_go() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1"), replica("2")), probed("1"), probed("1"))
    wants = want(state)
    assert wants.routes is not None and [r.id for r in wants.routes.replicas] == ["2"]
    assert wants.backends["one"][0].evict == {"1"}


def test_an_eviction_ends_when_the_replica_is_gone() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1")), probed("1"), probed("1"))
    draining = after(seen("one", replica("1", state="draining"), replica("2")), state=state)
    assert set(draining.durable.evicting) == {"1"}
    gone = after(seen("one", replica("2")), state=draining)
    assert (dict(gone.durable.evicting), dict(gone.health)) == ({}, {})


def test_an_eviction_that_ended_unwatched_ends_too() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1")), probed("1"), probed("1"))
    restarted = State(durable=state.durable)
    assert dict(after(seen("one", replica("2")), state=restarted).durable.evicting) == {}


def test_another_backends_snapshot_says_nothing_of_an_eviction() -> None:
    both = stack(("chat", "one"), ("code", "two"))
    state = after(chosen(both), seen("one", replica("1")), probed("1"), probed("1"))
    assert set(after(seen("two"), state=state).durable.evicting) == {"1"}


def test_a_lost_control_plane_does_not_empty_the_routes() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1")), Unseen("one", "connection refused"))
    assert len(route_table(state).replicas) == 1
    assert kinds(state, Unseen("one", "connection refused")) == []
    assert kinds(state, seen("one", replica("1"))) == ["reachable"]


def test_replicas_get_hashes_and_never_the_keys() -> None:
    state = after(chosen(ON_ONE))
    keys = state.durable.replica_keys["chat"]
    env = want(state).backends["one"][0].launch.env
    assert env[KEY_HASHES_ENV] == ",".join(sha256(k.encode()).hexdigest() for k in (keys.current, keys.previous))
    assert keys.current not in repr(state) and keys.previous not in repr(state)


def test_what_is_sent_is_accepted_by_old_and_new_replicas_through_a_roll_over() -> None:
    old = after(chosen(ON_ONE, argv="v1", salt="1"))
    new = after(chosen(ON_ONE, argv="v2", salt="2"), state=old)
    sent = sha256(route_table(new).upstream_keys["chat"].encode()).hexdigest()
    for state in (old, new):
        assert sent in want(state).backends["one"][0].launch.env[KEY_HASHES_ENV]


def test_the_same_launch_keeps_its_keys() -> None:
    old = after(chosen(ON_ONE, salt="1"))
    assert after(chosen(ON_ONE, salt="2"), state=old).durable.replica_keys == old.durable.replica_keys


def test_a_backend_left_behind_is_emptied_once_the_new_one_serves() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1")), chosen(stack(("chat", "two"))), seen("two"))
    assert "one" not in want(state).backends
    assert [r.id for r in route_table(state).replicas] == ["1"]
    state = after(seen("two", replica("2")), state=state)
    assert "one" not in want(state).backends, "nobody is sent to the new one yet"
    state = after(in_force(state), state=state)
    assert want(state).backends["one"] == ()
    state = after(Applied("one", emptied=True), state=state)
    assert "one" not in want(state).backends and [r.id for r in route_table(state).replicas] == ["2"]


INNER, EDGE = PluginRef("a-balancer"), PluginRef("an-edge")
BY_EDGE = replace(ON_ONE, load_balancer=INNER, edge=EDGE)
BY_ONE = replace(ON_ONE, load_balancer=EDGE)


def test_a_load_balancer_that_left_the_stack_is_emptied_once_no_way_leads_through_it() -> None:
    before = after(chosen(BY_EDGE), seen("one", replica("1")))
    state = after(in_force(before), chosen(BY_ONE), state=before)
    left = "behind_edge/a-balancer"
    assert dict(state.durable.retired) == {left: INNER}, "the edge stays where it is, and goes on"
    state = after(seen("one", replica("1")), state=recalled(state))
    assert left not in want(state).backends, "the edge goes on sending there until it is told"
    state = after(in_force(state), state=state)
    assert want(state).backends[left] == ()
    state = after(Applied(left, emptied=True), state=state)
    assert dict(state.durable.retired) == {} and left not in want(state).backends


def test_a_load_balancer_that_comes_back_before_it_was_emptied_is_not_emptied() -> None:
    state = after(chosen(BY_EDGE), seen("one", replica("1")), chosen(BY_ONE), chosen(BY_EDGE))
    assert dict(state.durable.retired) == {}


def test_a_load_balancer_whose_options_change_stays_and_one_of_another_plugin_leaves() -> None:
    moved = replace(BY_ONE, load_balancer=replace(EDGE, options={"listen": "127.0.0.1:1"}))
    state = after(chosen(BY_ONE), chosen(moved))
    assert dict(state.durable.retired) == {}
    state = after(chosen(ON_ONE), state=state)
    assert dict(state.durable.retired) == {"load_balancer/an-edge": moved.load_balancer}


def test_what_left_the_stack_is_emptied_with_it_too() -> None:
    state = after(chosen(BY_EDGE), chosen(BY_ONE), StopAsked(frozenset()), Applied(LOAD_BALANCER, emptied=True))
    left = "behind_edge/a-balancer"
    assert dict(want(state).backends) == {"one": (), left: ()}
    state = after(Applied("one", emptied=True), state=state)
    assert not is_stopped(state) and is_stopped(after(Applied(left, emptied=True), state=state))


def test_stopping_drains_the_edge_before_the_backends() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1")), StopAsked(keep=frozenset()))
    assert (dict(want(state).backends), want(state).routes) == ({}, RouteTable())
    state = after(Applied(LOAD_BALANCER, emptied=True), state=state)
    assert (dict(want(state).backends), want(state).routes) == ({"one": ()}, None)
    assert not is_stopped(state)
    assert is_stopped(after(Applied("one", emptied=True), state=state))


def test_detaching_leaves_the_kept_backends_alone() -> None:
    state = after(chosen(ON_ONE), StopAsked(keep=frozenset({"one"})), Applied(LOAD_BALANCER, emptied=True))
    assert is_stopped(state) and dict(want(state).backends) == {}


def test_serving_is_remembered_from_the_first_complete_routes_until_down() -> None:
    state = after(chosen(ON_ONE), seen("one"), Applied(LOAD_BALANCER, emptied=False))
    assert not state.durable.serving
    state = after(seen("one", replica("1")), Applied(LOAD_BALANCER, emptied=False), state=state)
    assert state.durable.serving
    assert after(seen("one"), Applied(LOAD_BALANCER, emptied=False), state=state).durable.serving
    assert not after(Applied(LOAD_BALANCER, emptied=True), state=state).durable.serving


def test_a_new_key_replaces_the_old_one_in_the_routes() -> None:
    state = after(chosen(ON_ONE), TenantKeyIssued("default", "h1"), TenantKeyIssued("default", "h2"))
    assert route_table(state).routes[0].key_sha256 == ("h2",)


def test_a_restart_that_finds_everything_as_it_was_gives_the_routes_no_new_number() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1")))
    restarted = after(chosen(ON_ONE), seen("one", replica("1")), state=State(durable=state.durable))
    assert restarted.durable.route_version == state.durable.route_version == 2
    changed = after(seen("one", replica("1"), replica("2")), state=restarted)
    assert changed.durable.route_version == 3


def test_a_repeated_complaint_is_told_once() -> None:
    state = after(chosen(ON_ONE))
    assert kinds(state, NotApplied("one", "no room")) == ["apply_failed"]
    state = after(NotApplied("one", "no room"), state=state)
    assert kinds(state, NotApplied("one", "no room")) == []
    assert kinds(state, NotApplied("one", "no quota")) == ["apply_failed"]


def test_a_busy_probe_is_told_as_such() -> None:
    state = after(chosen(ON_ONE), seen("one", replica("1")))
    events = reduce(state, probed("1", moved=True), 0.0).events
    assert [e.kind for e in events] == ["probe_busy"] and "not counted" in events[0].reason


def test_a_probe_of_a_replica_that_is_gone_changes_nothing() -> None:
    state = after(chosen(ON_ONE))
    assert reduce(state, probed("9"), 0.0).state == state


def test_time_never_steps_back() -> None:
    state = reduce(State(), chosen(ON_ONE), 100.0).state
    assert reduce(state, seen("one"), 50.0).state.now_s == 100.0
