from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.controller.facts import (
    Fact,
    FirstKeysIssued,
    TenantAdded,
    TenantChanged,
    TenantKeyIssued,
    TenantKeysRevoked,
    TenantRemoved,
    TimePassed,
)
from finsight_serve.controller.reduce import Step, reduce
from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import Durable, State
from finsight_serve.controller.tenancy import MAX_GRACE_S, MAX_KEYS, is_key_due, tenants
from finsight_serve.domain.migration import Migration
from finsight_serve.stack.values import Tenant

from .worlds import BOTH, TENANT_FACTS, after, chosen, replica, seen

ACME = Tenant("acme", "chat", requests_per_s=5.0)


def refused(state: State, fact: Fact) -> str:
    step = reduce(state, fact, 0.0)
    assert step.state is state and not step.events and not step.audit
    return step.refused


def told(step: Step) -> list[tuple[str, str]]:
    return [(event.kind, event.subject) for event in step.events if event.kind.startswith("tenant")]


def keys(state: State, tenant: str) -> tuple[str, ...]:
    return state.durable.tenant_key_sha256.get(tenant, ())


@pytest.fixture
def served() -> State:
    return after(chosen(BOTH), seen("one", replica("1")), seen("two", replica("2", "code")))


@pytest.fixture
def with_acme(served: State) -> State:
    return after(TenantAdded(ACME, "a1"), state=served)


def test_an_added_tenant_is_routed_by_its_key(served: State) -> None:
    step = reduce(served, TenantAdded(replace(ACME, deployment="code"), "a1"), 0.0)
    assert told(step) == [("tenant_added", "acme")]
    route = route_table(step.state).routes[-1]
    assert (route.tenant, route.key_sha256, dict(route.weights)) == ("acme", ("a1",), {"code": 100})
    assert route.limits.requests_per_s == 5.0


@pytest.mark.parametrize(
    ("tenant", "why"),
    [
        (Tenant("default", "chat"), "is in fs.yaml already; `fs tenant rotate default` makes it a new key"),
        (Tenant("acme", "chat"), "was added already; `fs tenant rotate acme`"),
        (Tenant("Beta Co", "chat"), "its name must be 1 to 40 of a-z, 0-9 and inner hyphens"),
        (Tenant("beta", "chet"), "no deployment is named chet; did you mean chat?"),
        (Tenant("beta", "chat", requests_per_s=0.0), "requests_per_s must be above 0, found 0"),
        (Tenant("beta", "chat", tokens_per_minute=-1), "tokens_per_minute must be above 0, found -1"),
        (Tenant("beta", "chat", requests_per_s=float("nan")), "requests_per_s must be above 0, found nan"),
    ],
)
def test_what_is_not_added(with_acme: State, tenant: Tenant, why: str) -> None:
    assert refused(with_acme, TenantAdded(tenant, "new")).startswith(f"tenant {tenant.name}: {why}")


def test_a_key_in_place_of_a_name_is_not_repeated(with_acme: State) -> None:
    key = "fs-" + "a" * 43
    for fact in (TenantAdded(Tenant(key, "chat"), "new"), TenantKeyIssued(key, "new"), TenantRemoved(key)):
        assert refused(with_acme, fact).startswith("tenant fs-…: ")


def test_a_key_is_of_one_tenant(with_acme: State) -> None:
    assert "has that key already" in refused(with_acme, TenantAdded(Tenant("beta", "chat"), "a1"))
    assert "has that key already" in refused(with_acme, TenantKeyIssued("default", "a1"))


def test_nothing_is_added_before_anything_was_served() -> None:
    assert "start with `fs serve`" in refused(State(), TenantAdded(ACME, "a1"))


def test_limits_of_an_added_tenant_change_and_its_place_does_not(with_acme: State) -> None:
    step = reduce(with_acme, TenantChanged(replace(ACME, requests_per_s=None, max_ongoing_requests=3)), 0.0)
    assert told(step) == [("tenant_changed", "acme")]
    assert route_table(step.state).routes[-1].limits.max_ongoing_requests == 3
    assert "`fs migrate` moves it" in refused(with_acme, TenantChanged(replace(ACME, deployment="code")))
    assert "must be above 0" in refused(with_acme, TenantChanged(replace(ACME, max_ongoing_requests=0)))
    assert told(reduce(with_acme, TenantChanged(ACME), 0.0)) == []


def test_tenants_of_the_file_are_changed_in_the_file(served: State) -> None:
    why = "tenant default: is in fs.yaml; change it there, then `fs apply`"
    assert refused(served, TenantChanged(Tenant("default", "chat"))) == why
    assert (
        refused(served, TenantRemoved("default")) == "tenant default: is in fs.yaml; take it out there, then `fs serve`"
    )


def test_an_unknown_tenant_is_refused_with_the_nearest_name(with_acme: State) -> None:
    facts: tuple[Fact, ...] = (
        TenantChanged(replace(ACME, name="acne")),
        TenantRemoved("acne"),
        TenantKeyIssued("acne", "x"),
        TenantKeysRevoked("acne"),
    )
    for fact in facts:
        assert refused(with_acme, fact) == "tenant acne: not in this stack; did you mean acme?"
    assert refused(with_acme, TenantRemoved("zzz")) == "tenant zzz: not in this stack; it has default, acme"


def test_a_removed_tenant_leaves_nothing_that_a_later_one_could_inherit(with_acme: State) -> None:
    moved = replace(with_acme, durable=replace(with_acme.durable, assignments={"acme": {"code": 100}}))
    rotated = after(TenantKeyIssued("acme", "a2", grace_s=60), state=moved)
    step = reduce(rotated, TenantRemoved("acme"), 0.0)
    gone = step.state.durable
    assert told(step) == [("tenant_removed", "acme")]
    assert [t.name for t in tenants(gone)] == ["default"]
    assert (gone.tenant_key_sha256, gone.key_ends_s, gone.assignments) == ({}, {}, {})


def test_a_tenant_on_its_way_is_not_removed(with_acme: State) -> None:
    moving = Migration("m1", "acme", {"chat": 100}, "code", phase="shifting")
    state = replace(with_acme, durable=replace(with_acme.durable, migrations={"m1": moving}))
    assert refused(state, TenantRemoved("acme")) == (
        "tenant acme: migration m1 of it is shifting; wait for it, or `fs migrate rollback m1`"
    )
    over = replace(state, durable=replace(state.durable, migrations={"m1": replace(moving, phase="done")}))
    assert keys(after(TenantRemoved("acme"), state=over), "acme") == ()


def test_a_rotated_key_holds_until_its_grace_is_over(with_acme: State) -> None:
    state = after(TenantKeyIssued("acme", "a2", grace_s=60), state=with_acme, now_s=100.0)
    assert keys(state, "acme") == ("a1", "a2")
    assert not is_key_due(state.durable, 159.0) and is_key_due(state.durable, 160.0)
    assert keys(after(TimePassed(), state=state, now_s=159.0), "acme") == ("a1", "a2")
    step = reduce(state, TimePassed(), 160.0)
    assert told(step) == [("tenant_key_ended", "acme")]
    assert keys(step.state, "acme") == ("a2",) and step.state.durable.key_ends_s == {}


def test_a_later_grace_prolongs_no_earlier_one(with_acme: State) -> None:
    state = after(TenantKeyIssued("acme", "a2", grace_s=60), state=with_acme)
    longer = after(TenantKeyIssued("acme", "a3", grace_s=600), state=state)
    assert longer.durable.key_ends_s == {"a1": 60.0, "a2": 600.0}
    shorter = after(TenantKeyIssued("acme", "a3", grace_s=6), state=state)
    assert shorter.durable.key_ends_s == {"a1": 6.0, "a2": 6.0}


def test_without_grace_the_earlier_keys_go_at_once(with_acme: State) -> None:
    state = after(TenantKeyIssued("acme", "a2", grace_s=60), TenantKeyIssued("acme", "a3"), state=with_acme)
    assert keys(state, "acme") == ("a3",) and state.durable.key_ends_s == {}


def test_only_so_many_keys_hold_at_a_time(with_acme: State) -> None:
    rotations = [TenantKeyIssued("acme", f"b{n}", grace_s=60) for n in range(MAX_KEYS - 1)]
    full = after(*rotations, state=with_acme)
    assert len(keys(full, "acme")) == MAX_KEYS
    why = refused(full, TenantKeyIssued("acme", "c", grace_s=60))
    assert why.startswith(f"tenant acme: {MAX_KEYS} keys hold, and no more can") and "`--grace 0s`" in why
    assert keys(after(TenantKeyIssued("acme", "c"), state=full), "acme") == ("c",)


@pytest.mark.parametrize("grace_s", [-1.0, MAX_GRACE_S + 1, float("inf"), float("nan")])
def test_a_grace_that_is_none(with_acme: State, grace_s: float) -> None:
    assert "grace must be from 0s to 365d" in refused(with_acme, TenantKeyIssued("acme", "a2", grace_s=grace_s))


def test_revoked_keys_go_at_once_and_no_first_one_comes_back(with_acme: State) -> None:
    rotated = after(TenantKeyIssued("acme", "a2", grace_s=60), state=with_acme)
    step = reduce(rotated, TenantKeysRevoked("acme"), 0.0)
    assert told(step) == [("tenant_keys_revoked", "acme")]
    assert keys(step.state, "acme") == () and step.state.durable.key_ends_s == {}
    assert route_table(step.state).routes[-1].key_sha256 == ()
    assert told(reduce(step.state, TenantKeysRevoked("acme"), 0.0)) == []
    assert keys(after(FirstKeysIssued({"acme": "first"}), state=step.state), "acme") == ()
    assert keys(after(TenantKeyIssued("acme", "a3", grace_s=60), state=step.state), "acme") == ("a3",)


def test_first_keys_come_before_the_stack_and_only_where_there_was_none() -> None:
    step = reduce(State(), FirstKeysIssued({"default": "d1", "more": "m1"}), 0.0)
    assert told(step) == [("tenant_key_issued", "default"), ("tenant_key_issued", "more")]
    again = after(FirstKeysIssued({"default": "d2"}), chosen(BOTH), state=step.state)
    assert keys(again, "default") == ("d1",)


def test_a_tenant_that_left_the_file_cannot_call_and_finds_its_key_when_it_is_back() -> None:
    state = after(FirstKeysIssued({"default": "d1"}), chosen(BOTH), seen("one", replica("1")))
    away = after(chosen(replace(BOTH, tenants=(Tenant("other", "chat"),))), state=state)
    assert [route.tenant for route in route_table(away).routes] == ["other"]
    back = after(chosen(BOTH), state=away)
    assert route_table(back).routes[0].key_sha256 == ("d1",)
    added = after(TenantAdded(Tenant("default", "chat"), "d2"), state=away)
    assert keys(added, "default") == ("d2",), "who is added anew begins with a new key alone"


def test_a_file_that_names_an_added_tenant_takes_it_over_with_its_keys(with_acme: State) -> None:
    named = replace(BOTH, tenants=(Tenant("default", "chat"), Tenant("acme", "chat", max_ongoing_requests=2)))
    state = after(chosen(named), state=with_acme)
    route = route_table(state).routes[1]
    assert (route.tenant, route.key_sha256, route.limits.max_ongoing_requests) == ("acme", ("a1",), 2)
    assert "is in fs.yaml" in refused(state, TenantRemoved("acme"))
    left = after(chosen(BOTH), state=state)
    assert [route.tenant for route in route_table(left).routes] == ["default"], "out of the file it can't call"


@given(st.lists(st.tuples(TENANT_FACTS, st.floats(0, 20)), max_size=40))
def test_keys_are_few_of_one_tenant_each_and_end_when_they_must(happenings: list[tuple[Fact, float]]) -> None:
    state, now_s = after(chosen(BOTH)), 0.0
    for fact, later_s in happenings:
        now_s += later_s
        state = reduce(state, fact, now_s).state
        check_keys(state.durable, now_s)


def check_keys(durable: Durable, now_s: float) -> None:
    held = [one for hashes in durable.tenant_key_sha256.values() for one in hashes]
    assert len(held) == len(set(held))
    assert all(len(hashes) <= MAX_KEYS for hashes in durable.tenant_key_sha256.values())
    assert durable.key_ends_s.keys() <= set(held)
    newest = [hashes[-1] for hashes in durable.tenant_key_sha256.values() if hashes]
    assert not durable.key_ends_s.keys() & set(newest), "the newest key ends by no time"
    earlier = set(held) - set(newest)
    assert earlier == durable.key_ends_s.keys(), "each earlier one does"
    assert not is_key_due(durable, now_s) or durable.key_ends_s
