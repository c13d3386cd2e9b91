import json
import time
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.controller.auditing import audit
from finsight_serve.controller.facts import (
    Fact,
    FirstKeysIssued,
    MigrationResumed,
    RollbackAsked,
    StackAmended,
    StopAsked,
    TenantAdded,
    TenantChanged,
    TenantKeyIssued,
    TenantKeysRevoked,
    TenantRemoved,
    TimePassed,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import Durable, State
from finsight_serve.domain import AutoscalingPolicy, WeeklyHours, Window
from finsight_serve.domain.audit import AuditEntry
from finsight_serve.domain.breaker import Breaker
from finsight_serve.domain.limit import parse_limit
from finsight_serve.domain.migration import Migration, MigrationRules
from finsight_serve.stack.values import PluginRef, Stack, Tenant

from .worlds import BOTH, TENANT_FACTS, after, chosen, probed, replica, seen, stack

OLD, NEW = "0123456789abcdef" * 4, "fedcba9876543210" * 4


def entries(state: State, fact: Fact, now_s: float = 0.0) -> list[tuple[str, str, str, str, str]]:
    found = reduce(state, fact, now_s).audit
    assert all(one.at_s == now_s for one in found)
    return [(one.by, one.action, one.subject, one.before, one.after) for one in found]


def changed(before: Durable, **fields: object) -> list[tuple[str, str, str, str, str]]:
    found = audit(State(before), State(replace(before, **fields), now_s=1.0), by="")  # type: ignore[arg-type]
    assert all(one.at_s == 1.0 for one in found)
    return [(one.by, one.action, one.subject, one.before, one.after) for one in found]


def served(*facts: Fact) -> State:
    return after(FirstKeysIssued({"default": OLD}), chosen(BOTH), *facts)


def test_what_only_happens_is_not_audited() -> None:
    state = served(seen("one", replica("1"), replica("2")))
    for fact in (seen("one", replica("1")), probed("1"), TimePassed(), chosen(BOTH)):
        assert entries(state, fact) == []


def test_a_key_from_its_first_to_its_end() -> None:
    assert entries(State(), FirstKeysIssued({"default": OLD}, by="ann")) == [
        ("ann", "key_issued", "tenant default", "no key", "key 1 of 1 (01234567)")
    ]
    state = served()
    rotation = TenantKeyIssued("default", NEW, grace_s=60, by="ann")
    both = "key 1 of 2 (01234567) until 1970-01-01 00:01:00 UTC, key 2 of 2 (fedcba98)"
    assert entries(state, rotation) == [("ann", "key_rotated", "tenant default", "key 1 of 1 (01234567)", both)]
    state = after(rotation, state=state)
    assert entries(state, TimePassed(), 60.0) == [
        ("controller", "key_ended", "tenant default", both, "key 1 of 1 (fedcba98)")
    ]
    assert entries(state, TenantKeysRevoked("default", by="bob")) == [
        ("bob", "keys_revoked", "tenant default", both, "no key")
    ]


def test_a_key_that_ends_while_somebody_changes_another_tenant_is_the_controllers() -> None:
    state = served(TenantAdded(Tenant("acme", "chat"), "a" * 64), TenantKeyIssued("default", NEW, grace_s=60))
    found = entries(state, TenantKeysRevoked("acme", by="bob"), 60.0)
    assert {(by, action) for by, action, *_ in found} == {("bob", "keys_revoked"), ("controller", "key_ended")}


def test_no_whole_hash_stands_in_any_entry() -> None:
    state = State()
    text = ""
    for fact in (
        FirstKeysIssued({"default": OLD}),
        chosen(BOTH),
        TenantAdded(Tenant("acme", "chat"), NEW),
        TenantKeyIssued("default", "f" * 64, grace_s=9),
        TenantKeysRevoked("default"),
        TenantRemoved("acme"),
    ):
        step = reduce(state, fact, 0.0)
        text += json.dumps([asdict(one) for one in step.audit])
        state = step.state
    assert "01234567" in text and "fedcba98" in text
    secrets = [
        OLD,
        NEW,
        "f" * 64,
        *(k for pair in state.durable.replica_keys.values() for k in (pair.current, pair.previous)),
    ]
    assert not any(secret[:9] in text for secret in secrets if len(secret) == 64)
    assert not any(pair.current in text or pair.previous in text for pair in state.durable.replica_keys.values())


def test_added_tenants() -> None:
    state = served()
    acme = Tenant("acme", "chat", requests_per_s=5)
    step = entries(state, TenantAdded(acme, NEW, by="ann"))
    assert step[0] == ("ann", "tenant_added", "tenant acme", "", "added: on chat, 5 requests/s")
    assert step[1][:3] == ("ann", "key_issued", "tenant acme")
    state = after(TenantAdded(acme, NEW), state=state)
    assert entries(state, TenantChanged(replace(acme, requests_per_s=None, max_ongoing_requests=2), by="ann")) == [
        ("ann", "tenant_changed", "tenant acme", "added: on chat, 5 requests/s", "added: on chat, 2 at a time")
    ]
    gone = entries(state, TenantRemoved("acme", by="ann"))
    assert [one[:4] for one in gone] == [
        ("ann", "tenant_removed", "tenant acme", "added: on chat, 5 requests/s"),
        ("ann", "keys_revoked", "tenant acme", "key 1 of 1 (fedcba98)"),
    ]


def test_a_first_stack_is_told_part_by_part() -> None:
    found = entries(State(), replace(chosen(BOTH), by="ann"))
    assert {(by, action, subject) for by, action, subject, *_ in found} == {
        ("ann", "stack_chosen", "stack test"),
        ("ann", "stack_changed", "backend one"),
        ("ann", "stack_changed", "backend two"),
        ("ann", "stack_changed", "load balancer"),
        ("ann", "stack_changed", "probe"),
        ("ann", "deployment_added", "deployment chat"),
        ("ann", "deployment_added", "deployment code"),
        ("ann", "tenant_added", "tenant default"),
        ("ann", "replica_keys_changed", "deployment chat"),
        ("ann", "replica_keys_changed", "deployment code"),
    }
    assert found[0][3:] == ("", "chat on one, code on two")


def test_another_stack_is_told_by_its_differences_without_options() -> None:
    secret = replace(BOTH, load_balancer=PluginRef("a-balancer", {"token": "hunter2"}))
    other = stack(("chat", "one"), ("tiny", "one"))
    other = replace(other, tenants=(Tenant("default", "tiny"), Tenant("more", "chat", tokens_per_minute=90)))
    other = replace(other, health=replace(other.health, period_s=5.0))
    state = after(chosen(secret))
    found = entries(state, chosen(other))
    assert (
        "controller",
        "stack_changed",
        "load balancer",
        "a-balancer, earlier options",
        "a-balancer, other options",
    ) in found
    assert ("controller", "stack_changed", "backend two", "an-orchestrator", "") in found
    assert ("controller", "stack_changed", "health rules", "period_s 10.0", "period_s 5.0") in found
    assert ("controller", "deployment_removed", "deployment code", "a-model by an-engine on two", "") in found
    assert ("controller", "tenant_added", "tenant more", "", "in fs.yaml: on chat, 90 tokens/min") in found
    moved = ("in fs.yaml: on chat, no limits", "in fs.yaml: on tiny, no limits")
    assert ("controller", "tenant_changed", "tenant default", *moved) in found
    assert "hunter2" not in str(found)


def with_policy(policy: AutoscalingPolicy) -> Stack:
    return replace(BOTH, deployments=(replace(BOTH.deployments[0], policy=policy), BOTH.deployments[1]))


def test_each_changed_field_of_a_policy_is_a_line() -> None:
    policy = AutoscalingPolicy(min_replicas=2, max_replicas=6)
    assert entries(served(), StackAmended(with_policy(policy), by="ann")) == [
        ("ann", "policy_changed", "deployment chat", "min_replicas 1", "min_replicas 2"),
        ("ann", "policy_changed", "deployment chat", "max_replicas 4", "max_replicas 6"),
    ]


def test_a_cut_over_is_the_controllers_whoever_asked_for_what_meanwhile() -> None:
    hours = WeeklyHours(start="09:00", end="16:00", timezone="UTC")
    policy = AutoscalingPolicy(max_replicas=4, schedule=(Window(name="day", weekly=hours, min_replicas=3),))
    state = after(chosen(with_policy(policy)))
    for fact in (TimePassed(), TenantAdded(Tenant("acme", "chat"), NEW, by="ann")):
        found = entries(state, fact, 9 * 3600.0)
        assert ("controller", "policy_cut_over", "deployment chat", "min_replicas 1", "min_replicas 3") in found


def test_an_assignment_is_told_as_weights() -> None:
    durable = served().durable
    assert changed(durable, assignments={"default": {"code": 100}}) == [
        ("controller", "weights_changed", "tenant default", "chat 100 %", "code 100 %")
    ]
    assert changed(durable, assignments={"default": {"chat": 100}}) == []


def test_a_migration_from_asked_to_over() -> None:
    durable = served().durable
    moving = Migration("m1", "default", {"chat": 100}, "code", asked_by="ann")
    found = changed(durable, migrations={"m1": moving})
    subject = "migration m1 of tenant default"
    asked = "in steps of 1, 10, 50, 100 %, each 60 s and 20 requests at least; limits none; shadow none"
    assert found == [("ann", "migration_asked", subject, "chat 100 %", f"to code {asked}")]
    strict = MigrationRules((5, 100), 9.5, 3, (parse_limit("failed<=0"), parse_limit("ttft_p95<=1.5x")), 20)
    [entry] = changed(durable, migrations={"m1": replace(moving, rules=strict)})
    asked = "each 9.5 s and 3 requests at least; limits failed<=0, ttft_p95<=1.5x; shadow 20 %"
    assert entry[4] == f"to code in steps of 5, 100 %, {asked}"
    durable = replace(durable, migrations={"m1": moving})

    def turn(by: str = "", **fields: object) -> AuditEntry:
        now = replace(moving, **fields)  # type: ignore[arg-type]
        first, *_ = audit(State(durable), State(replace(durable, migrations={"m1": now})), by=by)
        assert first.subject == subject and first.before == "planned"
        return first

    first = turn(phase="preparing")
    assert (first.by, first.action, first.after) == ("controller", "migration_advanced", "preparing")
    first = turn(phase="shifting", step=1)
    assert (first.action, first.after) == ("migration_advanced", "shifting, 10 % at code")
    first = turn("bob", paused=True)
    assert (first.by, first.action) == ("bob", "migration_paused")
    first = turn("bob", phase="rolling_back", reason="asked for by bob")
    assert (first.by, first.action, first.after) == ("bob", "migration_rolling_back", "rolling back: asked for by bob")
    first = turn(phase="done", proof="9 requests, 0 failed, 0 truncated")
    assert (first.by, first.action, first.after) == (
        "controller",
        "migration_done",
        "done: 9 requests, 0 failed, 0 truncated",
    )


def moving_when_code_is_gone() -> State:
    """A paused migration at 10 %, whose destination has lost its only replica: it goes back as soon as any fact comes.

    Its figures come from no ledger, so nothing else is due.
    """
    state = served(seen("one", replica("1")), seen("two", replica("2", "code")))
    moving = Migration(
        "m1", "default", {"chat": 100}, "code", phase="shifting", step=1, paused=True, asked_by="ann", reason="asked"
    )
    durable = replace(state.durable, serving=True, migrations={"m1": moving})
    return replace(state, durable=durable, observed={**state.observed, "two": seen("two").observed})


def test_what_was_due_anyway_is_not_whose_intent_came_first() -> None:
    found = entries(moving_when_code_is_gone(), TenantAdded(Tenant("acme", "chat"), NEW, by="bob"))
    who = {action: by for by, action, *_ in found}
    assert who == {
        "tenant_added": "bob",
        "key_issued": "bob",
        "migration_rolling_back": "controller",
        "weights_changed": "controller",
    }


def test_a_pause_that_ends_by_itself_was_not_resumed() -> None:
    found = entries(moving_when_code_is_gone(), TimePassed())
    assert [action for _, action, *_ in found] == ["migration_rolling_back", "weights_changed"]


def test_what_is_asked_of_a_migration_is_the_persons() -> None:
    state = moving_when_code_is_gone()
    state = replace(state, observed={**state.observed, "two": seen("two", replica("2", "code")).observed})
    found = entries(state, MigrationResumed("m1", by="bob"))
    assert [(by, action) for by, action, *_ in found] == [("bob", "migration_resumed")]
    found = entries(state, RollbackAsked("m1", by="bob"))
    assert {(by, action) for by, action, *_ in found} == {("bob", "migration_rolling_back"), ("bob", "weights_changed")}


def test_a_stop_and_one_that_keeps_less() -> None:
    state = served()
    local = StopAsked(keep=frozenset({"two"}))
    assert entries(state, local) == [("controller", "stop_asked", "stack", "running", "down, but for two")]
    state = after(local, state=state)
    assert entries(state, local) == []
    stop = reduce(state, StopAsked(frozenset(), by="ann"), 0.0)
    assert [(one.by, one.before, one.after) for one in stop.audit] == [("ann", "down, but for two", "down")]
    assert [event.kind for event in stop.events] == ["stopping"]  # without an event it would not be stored
    assert entries(stop.state, StopAsked(frozenset({"two"}), by="bob")) == []


def test_what_is_over_is_forgotten_without_a_line() -> None:
    durable = replace(
        served().durable, migrations={"m1": Migration("m1", "default", {"chat": 100}, "code", phase="done")}
    )
    assert changed(durable, migrations={}) == []


@pytest.mark.parametrize(
    ("before", "now", "action", "said"),
    [
        ({}, Breaker("open", reason="6 of 10 failed"), "breaker_opened", ("closed", "open: 6 of 10 failed")),
        ({"chat": Breaker("open")}, Breaker("half_open"), "breaker_half_open", ("open", "half open")),
        ({"chat": Breaker("half_open")}, Breaker(), "breaker_closed", ("half open", "closed")),
    ],
)
def test_breakers(before: dict[str, Breaker], now: Breaker, action: str, said: tuple[str, str]) -> None:
    durable = replace(served().durable, breakers=before)
    assert changed(durable, breakers={"chat": now}) == [("controller", action, "deployment chat", *said)]


def test_a_fact_that_changes_nothing_audited_costs_nothing_at_10_000_tenants() -> None:
    many = tuple(Tenant(f"t{n}", "chat") for n in range(10_000))
    durable = replace(
        served().durable,
        stack=replace(BOTH, tenants=many),
        tenant_key_sha256={tenant.name: (f"{n:064x}",) for n, tenant in enumerate(many)},
    )
    other = replace(durable, route_version=durable.route_version + 1, evicting={})

    def cost_s() -> float:
        began_s = time.perf_counter()
        assert audit(State(durable), State(other), by="") == ()
        return time.perf_counter() - began_s

    assert min(cost_s() for _ in range(20)) < 0.0005


AUDITED = ("stack", "tenant_key_sha256", "added_tenants", "assignments", "policies_in_force", "migrations", "breakers")


@given(st.lists(st.tuples(TENANT_FACTS, st.floats(0, 20)), max_size=30))
def test_nothing_of_a_tenant_changes_without_an_entry(happenings: list[tuple[Fact, float]]) -> None:
    state, now_s = after(chosen(BOTH)), 0.0
    for fact, later_s in happenings:
        now_s += later_s
        step = reduce(state, fact, now_s)
        differs = any(getattr(step.state.durable, name) != getattr(state.durable, name) for name in AUDITED)
        assert differs == bool(step.audit), (fact, step.audit)
        state = step.state
