"""What changed between two states, for the audit: found by comparing, so that nothing durable changes unnoticed. Pure.

What is the same object on both sides has not changed and costs nothing, so a fact about one tenant among thousands
costs what that one does. No key, no key's whole hash and no plugin's option ever stands in an entry.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ..domain.audit import AuditEntry
from ..domain.limit import format_limit
from ..domain.migration import OVER, Migration, MigrationRules
from ..stack.values import Deployment, PluginRef, Stack, Tenant
from .routing import assignments, describe_weights
from .state import Durable, State, Stopping
from .tenancy import describe_limits, say_time

T = TypeVar("T")

CONTROLLER = "controller"
FINGERPRINT = 8  # hex digits of a key's hash: enough to tell a tenant's keys apart, and of no use otherwise


@dataclass(frozen=True)
class _Change:
    action: str
    subject: str
    before: str = ""
    after: str = ""
    by: str = ""  # "": whoever asked for what came between the two states


def audit(before: State, after: State, *, by: str) -> tuple[AuditEntry, ...]:
    """Dated `after.now_s`. `by`: who asked for what came between the two; "" is the controller itself."""
    at_s = after.now_s
    return tuple(
        AuditEntry(at_s, one.by or by or CONTROLLER, one.action, one.subject, one.before, one.after)
        for one in (*_durable(before.durable, after.durable, at_s), *_stopping(before.stopping, after.stopping))
    )


def _durable(before: Durable, after: Durable, at_s: float) -> tuple[_Change, ...]:
    return (
        *_stack(before.stack, after.stack),
        *_policies_in_force(before, after),
        *_tenants(before.added_tenants, after.added_tenants, "added"),
        *_tenant_keys(before, after, at_s),
        *_replica_keys(before, after),
        *_migrations(before, after),
        *_weights(before, after),
        *_breakers(before, after),
    )


def _stopping(old: Stopping | None, new: Stopping | None) -> Iterator[_Change]:
    if new is None or (old is not None and old.keep == new.keep):
        return
    yield _Change("stop_asked", "stack", "running" if old is None else _say_stop(old), _say_stop(new))


def _say_stop(stopping: Stopping) -> str:
    return f"down, but for {', '.join(sorted(stopping.keep))}" if stopping.keep else "down"


def _differing(before: Mapping[str, T], after: Mapping[str, T]) -> Iterator[tuple[str, T | None, T | None]]:
    if before is after or before == after:
        return
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old is not new and old != new:
            yield name, old, new


def _ordered(before: Mapping[str, T], after: Mapping[str, T]) -> list[tuple[str, T | None, T | None]]:
    return sorted(_differing(before, after), key=lambda change: change[0])


def _stack(old: Stack | None, new: Stack | None) -> Iterator[_Change]:
    """What the file says: each part by itself."""
    if old is new or new is None or old == new:
        return
    if old is None or old.name != new.name:
        yield _Change("stack_chosen", f"stack {new.name}", f"stack {old.name}" if old else "", _describe_stack(new))
    yield from _plugins("backend", old.backends if old else {}, new.backends)
    yield from _plugins("", _single_plugins(old) if old else {}, _single_plugins(new))
    for rules in ("health", "breaker"):
        if old is not None:
            yield from _fields("stack_changed", f"{rules} rules", getattr(old, rules), getattr(new, rules))
    earlier = {d.name: d for d in old.deployments} if old else {}
    for name, was, now in _ordered(earlier, {d.name: d for d in new.deployments}):
        yield from _deployment(f"deployment {name}", was, now)
    tenants_so_far = {t.name: t for t in old.tenants} if old else {}
    yield from _tenants(tenants_so_far, {t.name: t for t in new.tenants}, "in fs.yaml")


def _single_plugins(stack: Stack) -> Mapping[str, PluginRef]:
    found = {"load balancer": stack.load_balancer, "probe": stack.probe}
    return {**found, "edge": stack.edge} if stack.edge else found


def _describe_stack(stack: Stack) -> str:
    return ", ".join(f"{d.name} on {d.backend}" for d in stack.deployments)


def _plugins(kind: str, before: Mapping[str, PluginRef], after: Mapping[str, PluginRef]) -> Iterator[_Change]:
    """Options may hold secrets: that they changed is all that is said of them."""
    for name, old, new in _ordered(before, after):
        was, now = old.plugin if old else "", new.plugin if new else ""
        if was == now:
            was, now = f"{was}, earlier options", f"{now}, other options"
        yield _Change("stack_changed", f"{kind} {name}".strip(), was, now)


def _deployment(subject: str, old: Deployment | None, new: Deployment | None) -> Iterator[_Change]:
    if old is None or new is None:
        action = "deployment_removed" if new is None else "deployment_added"
        yield _Change(action, subject, _describe_deployment(old), _describe_deployment(new))
        return
    was, now = _describe_deployment(old), _describe_deployment(new)
    if was != now:
        yield _Change("deployment_changed", subject, was, now)
    elif old.engine.options != new.engine.options:
        yield _Change("deployment_changed", subject, f"{was}, earlier options", f"{now}, other options")
    yield from _fields("policy_changed", subject, old.policy, new.policy)
    if old.max_ongoing_requests != new.max_ongoing_requests:
        was, now = (f"max_ongoing_requests {_say(one.max_ongoing_requests)}" for one in (old, new))
        yield _Change("deployment_changed", subject, was, now)


def _describe_deployment(deployment: Deployment | None) -> str:
    return f"{deployment.model} by {deployment.engine.plugin} on {deployment.backend}" if deployment else ""


def _fields(action: str, subject: str, old: Any, new: Any, by: str = "") -> Iterator[_Change]:
    """One line for each field of a dataclass that differs."""
    for field in fields(new) if old != new else ():
        was, now = getattr(old, field.name), getattr(new, field.name)
        if was != now:
            yield _Change(action, subject, f"{field.name} {_say(was)}", f"{field.name} {_say(now)}", by)


def _say(value: object) -> str:
    if isinstance(value, tuple):  # a policy's windows
        return ", ".join(str(getattr(one, "name", one)) for one in value) or "none"
    return "none" if value is None else str(value)


def _policies_in_force(before: Durable, after: Durable) -> Iterator[_Change]:
    """Cut-overs: other numbers hold, and what is written has not changed."""
    if before.policies_in_force is after.policies_in_force:
        return
    written = [{d.name: d.policy for d in one.stack.deployments} if one.stack else {} for one in (before, after)]
    for name, old, new in _ordered(before.policies_in_force, after.policies_in_force):
        if old is not None and new is not None and written[0].get(name) == written[1].get(name):
            yield from _fields("policy_cut_over", f"deployment {name}", old, new, CONTROLLER)


def _tenants(before: Mapping[str, Tenant], after: Mapping[str, Tenant], where: str) -> Iterator[_Change]:
    for name, old, new in _ordered(before, after):
        action = "tenant_added" if old is None else "tenant_removed" if new is None else "tenant_changed"
        yield _Change(action, f"tenant {name}", _describe_tenant(old, where), _describe_tenant(new, where))


def _describe_tenant(tenant: Tenant | None, where: str) -> str:
    return f"{where}: on {tenant.deployment}, {describe_limits(tenant)}" if tenant else ""


def _tenant_keys(before: Durable, after: Durable, at_s: float) -> Iterator[_Change]:
    for name, old, new in _ordered(before.tenant_key_sha256, after.tenant_key_sha256):
        was, now = old or (), new or ()
        if was == now:
            continue
        gone = [one for one in was if one not in now]
        ended = bool(gone) and all(before.key_ends_s.get(one, at_s + 1) <= at_s for one in gone)
        if set(now) - set(was):
            action = "key_rotated" if was else "key_issued"
        else:
            action = "key_ended" if ended else "keys_revoked"
        said = _describe_keys(was, before.key_ends_s), _describe_keys(now, after.key_ends_s)
        yield _Change(action, f"tenant {name}", *said)


def _describe_keys(hashes: tuple[str, ...], ends_s: Mapping[str, float]) -> str:
    """ "key 1 of 2 (ab12cd34) until …, key 2 of 2 (ef567890)"."""
    said = [
        f"key {number} of {len(hashes)} ({one[:FINGERPRINT]})"
        + (f" until {say_time(ends_s[one])}" if one in ends_s else "")
        for number, one in enumerate(hashes, 1)
    ]
    return ", ".join(said) or "no key"


def _replica_keys(before: Durable, after: Durable) -> Iterator[_Change]:
    for name, old, new in _ordered(before.replica_keys, after.replica_keys):
        pairs = [(one.current, one.previous) if one else None for one in (old, new)]
        if pairs[0] != pairs[1]:
            said = ["a pair" if pair else "none" for pair in pairs]
            yield _Change("replica_keys_changed", f"deployment {name}", said[0], "a new pair" if new else "none")


def _migrations(before: Durable, after: Durable) -> Iterator[_Change]:
    for _, old, new in _ordered(before.migrations, after.migrations):
        if new is not None:  # one that is over is forgotten at last, which changes nothing
            yield from _migration(old, new)


def _migration(old: Migration | None, new: Migration) -> Iterator[_Change]:
    subject = f"migration {new.id} of tenant {new.tenant}"
    if old is None:
        asked = f"to {new.destination} {_say_rules(new.rules)}"
        yield _Change("migration_asked", subject, describe_weights(new.source), asked, new.asked_by)
        return
    if old.paused != new.paused and old.phase == new.phase:  # going back or ending, nobody has resumed it
        action = "migration_paused" if new.paused else "migration_resumed"
        yield _Change(action, subject, _say_phase(old), _say_phase(new))
    if _say_phase(old) != _say_phase(new):
        yield _Change(_phase_action(new), subject, _say_phase(old), _say_phase(new, with_reason=True))


def _say_rules(rules: MigrationRules) -> str:
    """ "in steps of 1, 100 %, each 60 s and 20 requests at least; limits failed<=0; shadow 10 %"."""
    steps = ", ".join(map(str, rules.steps))
    limits = ", ".join(map(format_limit, rules.limits)) or "none"
    shadow = f"{rules.shadow_percent} %" if rules.shadow_percent else "none"
    proved = f"each {rules.hold_s:g} s and {rules.min_requests} requests at least"
    return f"in steps of {steps} %, {proved}; limits {limits}; shadow {shadow}"


def _say_phase(migration: Migration, *, with_reason: bool = False) -> str:
    """ "shifting, 10 % at chat-local: why"."""
    phase = migration.phase.replace("_", " ")
    if migration.phase == "shifting":
        phase += f", {migration.rules.steps[migration.step]} % at {migration.destination}"
    return ": ".join(text for text in (phase, migration.reason, migration.proof) if text) if with_reason else phase


def _phase_action(migration: Migration) -> str:
    if migration.phase in OVER:
        return f"migration_{migration.phase}"
    return "migration_rolling_back" if migration.phase == "rolling_back" else "migration_advanced"


def _weights(before: Durable, after: Durable) -> Iterator[_Change]:
    """Where tenants' requests go: only of those that an assignment or a migration may have moved."""
    moved = {name for name, _, _ in _differing(before.assignments, after.assignments)}
    moved |= {new.tenant for _, _, new in _differing(before.migrations, after.migrations) if new}
    if not moved or before.stack is None or after.stack is None:
        return
    was_at, is_at = assignments(before, moved), assignments(after, moved)
    for name in sorted(was_at.keys() & is_at.keys()):
        was, now = was_at[name], is_at[name]
        if was != now:
            said = describe_weights(was), describe_weights(now)
            yield _Change("weights_changed", f"tenant {name}", *said)


def _breakers(before: Durable, after: Durable) -> Iterator[_Change]:
    for name, old, new in _ordered(before.breakers, after.breakers):
        was, now = old.state if old else "closed", new.state if new else "closed"
        if was != now:
            action = "breaker_opened" if now == "open" else f"breaker_{now}"
            why = f": {new.reason}" if new and new.reason else ""
            yield _Change(action, f"deployment {name}", was.replace("_", " "), now.replace("_", " ") + why)
