"""Tenants and their keys: those of the file, those that were added, and which hashes hold now. Pure.

A tenant that leaves the file can't call any more; its hashes are kept, so that its clients' keys hold again when it is
back. One that is added under its name begins with a key of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ..domain.migration import OVER
from ..errors import did_you_mean
from ..stack.model import MAX_NAME, check_name
from ..stack.values import Stack, Tenant
from ..stack.wording import suggest
from .facts import (
    FirstKeysIssued,
    TenantAdded,
    TenantChanged,
    TenantFact,
    TenantKeyIssued,
    TenantKeysRevoked,
    TenantRemoved,
)
from .refusal import Refusal
from .state import Durable, State, without
from .told import Told

MAX_KEYS = 5
"""Of one tenant at a time: more would be rotations that nobody finishes."""
MAX_GRACE_S = 365 * 24 * 3600.0
FEW = 5  # names that a message may list


def tenants(durable: Durable) -> tuple[Tenant, ...]:
    """The file's and the added ones; one that is in both is the file's."""
    names = {tenant.name for tenant in _of_file(durable)}
    return (*_of_file(durable), *(tenant for tenant in durable.added_tenants.values() if tenant.name not in names))


def keep_added(old: Durable, new: Stack) -> Mapping[str, Tenant]:
    """Those that the newly chosen file does not name: it has taken the others over, and they leave with it."""
    taken_over = {tenant.name for tenant in new.tenants} & old.added_tenants.keys()
    return without(old.added_tenants, taken_over)


def is_in_file(durable: Durable, name: str) -> bool:
    return any(tenant.name == name for tenant in _of_file(durable))


def find_tenant(durable: Durable, name: str) -> Tenant:
    """Raises `Refusal` with the nearest name there is."""
    known = {tenant.name: tenant for tenant in tenants(durable)}
    if name in known:
        return known[name]
    all_of_them = f"; it has {', '.join(known)}" if len(known) <= FEW else "; `fs tenant list` shows them"
    raise Refusal(f"tenant {_shown(name)}: not in this stack{did_you_mean(name, known) or all_of_them}")


def describe_limits(tenant: Tenant) -> str:
    """ "10 requests/s, 64 at a time"; "no limits"."""
    said = {
        "requests/s": tenant.requests_per_s,
        "at a time": tenant.max_ongoing_requests,
        "tokens/min": tenant.tokens_per_minute,
    }
    return ", ".join(f"{limit:,.13g} {unit}" for unit, limit in said.items() if limit is not None) or "no limits"


def take_tenant_fact(state: State, fact: TenantFact) -> tuple[State, Told]:
    """Raises `Refusal`."""
    if state.durable.stack is None and not isinstance(fact, FirstKeysIssued):
        raise Refusal("nothing was served from this state folder yet; start with `fs serve`")
    match fact:
        case TenantAdded():
            durable, told = _add(state.durable, fact)
        case TenantChanged():
            durable, told = _change(state.durable, fact.tenant)
        case TenantRemoved():
            durable, told = _remove(state.durable, fact.tenant)
        case FirstKeysIssued():
            durable, told = _issue_first(state.durable, fact)
        case TenantKeyIssued():
            durable, told = _issue(state.durable, fact, state.now_s)
        case TenantKeysRevoked():
            durable, told = _revoke(state.durable, fact.tenant)
    return replace(state, durable=durable), told


def _add(durable: Durable, fact: TenantAdded) -> tuple[Durable, Told]:
    """What an earlier tenant of that name left behind (keys, an assignment) is not the new one's."""
    name = fact.tenant.name
    _check_name(name)
    if is_in_file(durable, name):
        raise Refusal(f"tenant {name}: is in fs.yaml already; `fs tenant rotate {name}` makes it a new key")
    if name in durable.added_tenants:
        others = f"`fs tenant rotate {name}` makes it a new key, `fs tenant set {name}` changes its limits"
        raise Refusal(f"tenant {name}: was added already; {others}")
    _refuse_while_moved(durable, name)
    deployments = [deployment.name for deployment in durable.stack.deployments] if durable.stack else []
    if fact.tenant.deployment not in deployments:
        unknown = fact.tenant.deployment
        raise Refusal(f"tenant {name}: no deployment is named {unknown}{suggest(unknown, deployments)}")
    _check_limits(fact.tenant)
    cleared = _hold_keys(durable, name, ())
    _check_fresh(cleared, fact.key_sha256)
    after = replace(
        _hold_keys(cleared, name, (fact.key_sha256,)),
        added_tenants={**durable.added_tenants, name: fact.tenant},
        assignments=without(durable.assignments, {name}),
    )
    return after, [("tenant_added", name, f"on {fact.tenant.deployment}, {describe_limits(fact.tenant)}")]


def _change(durable: Durable, tenant: Tenant) -> tuple[Durable, Told]:
    name = tenant.name
    old = find_tenant(durable, name)
    if is_in_file(durable, name):
        raise Refusal(f"tenant {name}: is in fs.yaml; change it there, then `fs apply`")
    if tenant.deployment != old.deployment:
        raise Refusal(f"tenant {name}: is on {old.deployment}; `fs migrate` moves it")
    _check_limits(tenant)
    if tenant == old:
        return durable, []
    after = replace(durable, added_tenants={**durable.added_tenants, name: tenant})
    return after, [("tenant_changed", name, f"{describe_limits(old)} → {describe_limits(tenant)}")]


def _remove(durable: Durable, name: str) -> tuple[Durable, Told]:
    find_tenant(durable, name)
    if is_in_file(durable, name):
        raise Refusal(f"tenant {name}: is in fs.yaml; take it out there, then `fs serve`")
    _refuse_while_moved(durable, name)
    after = replace(
        _hold_keys(durable, name, ()),
        added_tenants=without(durable.added_tenants, {name}),
        assignments=without(durable.assignments, {name}),
    )
    after = replace(after, tenant_key_sha256=without(after.tenant_key_sha256, {name}))
    return after, [("tenant_removed", name, "and its keys")]


def _issue_first(durable: Durable, fact: FirstKeysIssued) -> tuple[Durable, Told]:
    """For whom a stack that is about to be chosen names; who has had a key is left as it is."""
    fresh = {name: (one,) for name, one in fact.key_sha256.items() if name not in durable.tenant_key_sha256}
    after = replace(durable, tenant_key_sha256={**durable.tenant_key_sha256, **fresh})
    return after, [("tenant_key_issued", name, "its first key") for name in fresh]


def _issue(durable: Durable, fact: TenantKeyIssued, now_s: float) -> tuple[Durable, Told]:
    name, earlier = fact.tenant, durable.tenant_key_sha256.get(fact.tenant, ())
    find_tenant(durable, name)
    if not 0 <= fact.grace_s <= MAX_GRACE_S:
        raise Refusal(f"tenant {name}: the earlier keys' grace must be from 0s to {MAX_GRACE_S / 86400:.0f}d")
    _check_fresh(durable, fact.key_sha256)
    if fact.grace_s == 0:
        after = _hold_keys(durable, name, (fact.key_sha256,))
        return after, [("tenant_key_issued", name, _say_earlier(earlier, "no longer hold"))]
    if len(earlier) >= MAX_KEYS:
        first_s = min((durable.key_ends_s[one] for one in earlier if one in durable.key_ends_s), default=now_s)
        wait = f"one of them ends at {say_time(first_s)}, and `--grace 0s` ends them all now"
        raise Refusal(f"tenant {name}: {len(earlier)} keys hold, and no more can; {wait}")
    ends_s = now_s + fact.grace_s
    ends = {one: min(durable.key_ends_s.get(one, math.inf), ends_s) for one in earlier}
    after = replace(_hold_keys(durable, name, (*earlier, fact.key_sha256)), key_ends_s={**durable.key_ends_s, **ends})
    return after, [("tenant_key_issued", name, _say_earlier(earlier, f"hold until {say_time(ends_s)}"))]


def _revoke(durable: Durable, name: str) -> tuple[Durable, Told]:
    """The tenant stays known as one without a key: `fs serve` makes first keys only for those that never had one."""
    find_tenant(durable, name)
    count = len(durable.tenant_key_sha256.get(name, ()))
    if not count:
        return durable, []
    keys = "its key no longer holds" if count == 1 else f"its {count} keys no longer hold"
    return _hold_keys(durable, name, ()), [("tenant_keys_revoked", name, keys)]


def drop_ended_keys(state: State) -> tuple[State, Told]:
    """Keys whose grace is over."""
    durable = state.durable
    if not is_key_due(durable, state.now_s):
        return state, []
    ended = {one for one, ends_s in durable.key_ends_s.items() if ends_s <= state.now_s}
    keys = dict(durable.tenant_key_sha256)
    told: Told = []
    for name, held in durable.tenant_key_sha256.items():
        kept = tuple(one for one in held if one not in ended)
        if len(kept) != len(held):
            keys[name] = kept
            told.append(("tenant_key_ended", name, f"a rotated key's grace is over; {len(kept)} left"))
    after = replace(durable, tenant_key_sha256=keys, key_ends_s=without(durable.key_ends_s, ended))
    return replace(state, durable=after), told


def is_key_due(durable: Durable, now_s: float) -> bool:
    """Whether `drop_ended_keys` would change anything."""
    return any(ends_s <= now_s for ends_s in durable.key_ends_s.values())


def say_time(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _of_file(durable: Durable) -> tuple[Tenant, ...]:
    return durable.stack.tenants if durable.stack else ()


def _hold_keys(durable: Durable, name: str, keys: tuple[str, ...]) -> Durable:
    """`keys` and no others; what was noted of those that go is forgotten."""
    gone = set(durable.tenant_key_sha256.get(name, ())) - set(keys)
    ends = without(durable.key_ends_s, gone)
    return replace(durable, tenant_key_sha256={**durable.tenant_key_sha256, name: keys}, key_ends_s=ends)


def _check_fresh(durable: Durable, key_sha256: str) -> None:
    """One key of two tenants would be nobody's."""
    for name, held in durable.tenant_key_sha256.items():
        if key_sha256 in held:
            raise Refusal(f"tenant {name}: has that key already; ask again for another")


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise Refusal(f"tenant {_shown(name)}: its name {error}") from error


def _shown(name: str) -> str:
    """What is too long for a name may be a key."""
    return (name or "''") if len(name) <= MAX_NAME else f"{name[:3]}…"


def _check_limits(tenant: Tenant) -> None:
    limits = {
        "max_ongoing_requests": tenant.max_ongoing_requests,
        "requests_per_s": tenant.requests_per_s,
        "tokens_per_minute": tenant.tokens_per_minute,
    }
    for what, limit in limits.items():
        if limit is not None and not 0 < limit < math.inf:
            raise Refusal(f"tenant {tenant.name}: {what} must be above 0, found {limit:g}")


def _refuse_while_moved(durable: Durable, name: str) -> None:
    for migration in durable.migrations.values():
        if migration.tenant == name and migration.phase not in OVER:
            how = f"wait for it, or `fs migrate rollback {migration.id}`"
            raise Refusal(f"tenant {name}: migration {migration.id} of it is {migration.phase}; {how}")


def _say_earlier(earlier: tuple[str, ...], fate: str) -> str:
    return f"earlier keys {fate}" if earlier else "it had none"
