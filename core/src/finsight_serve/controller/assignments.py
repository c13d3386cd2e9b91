"""Where tenants were moved to, or are being moved, when another file is chosen: what the file says anew wins. Pure."""

from collections.abc import Iterator, Mapping

from ..domain.migration import Migration, request_rollback
from ..domain.migration.transitions import end
from ..stack.values import Stack, Tenant
from .migrating import running_migrations
from .state import Durable
from .tenancy import tenants
from .told import Told


def keep_assignments(old: Durable, new: Stack) -> Mapping[str, Mapping[str, int]]:
    """Those of tenants whose deployment is the same as before, whether it was written or added."""
    changed = _changed(old, new)
    known = {deployment.name for deployment in new.deployments}
    there = {tenant.name for tenant in new.tenants} | old.added_tenants.keys()
    return {
        tenant: assigned
        for tenant, assigned in old.assignments.items()
        if assigned.keys() <= known and tenant in there and tenant not in changed
    }


def heed_file(old: Durable, new: Stack, now_s: float) -> tuple[Mapping[str, Migration], Told]:
    """Migrations go back whose tenant the file now wants elsewhere: at the end it would be there after all."""
    changed = {id: one for id, one in _ended(old, new, now_s) if one is not old.migrations[id]}
    told: Told = [("migration_rollback_asked", id, migration.reason) for id, migration in changed.items()]
    return ({**old.migrations, **changed} if changed else old.migrations), told


def _ended(old: Durable, new: Stack, now_s: float) -> Iterator[tuple[str, Migration]]:
    changed = _changed(old, new)
    known = {deployment.name for deployment in new.deployments}
    for migration in running_migrations(old):
        wanted = changed.get(migration.tenant)
        if wanted is None or wanted.deployment == migration.destination or wanted.deployment not in known:
            continue
        reason = f"the file now has {migration.tenant} on {wanted.deployment}"
        if migration.source.keys() - {migration.destination} <= known:
            yield migration.id, request_rollback(migration, reason, now_s)
        else:  # nothing to go back to: the new place is there at once
            proof = "unproven: its sources are gone" if migration.records else ""
            yield migration.id, end(migration, "rolled_back", reason, now_s, proof)


def _changed(old: Durable, new: Stack) -> Mapping[str, Tenant]:
    """Of the new file's tenants those that were on another deployment before, or were not there."""
    earlier = {tenant.name: tenant.deployment for tenant in tenants(old)}
    return {tenant.name: tenant for tenant in new.tenants if earlier.get(tenant.name) != tenant.deployment}
