"""The numbers of route tables: by them, each request tells which step of a migration routed it. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from ..domain.migration import OVER, Migration, ShiftRecord, weights
from ..plugin import Observed, RouteTable
from .migrating import running_migrations
from .routing import known_refs, route_table, routed_replicas
from .state import LOAD_BALANCER, Durable, State


def number_routes(before: State, after: State) -> State:
    """A new number for a route table that differs from the last one, also across restarts; with what it routes to.

    A step that begins has one to itself, even if its weights hold back nothing and add nothing now: requests of
    before it would count as its own.
    """
    if after.durable.stack is None or (before.table is not None and _is_routed_alike(before, after)):
        return after
    table, refs = route_table(after), known_refs(after)
    if refs != after.durable.refs:  # also those that no table has yet: they may be of a backend that is moved to
        after = replace(after, durable=replace(after.durable, refs=refs))
    digest = sha256(_fingerprint(table)).hexdigest()
    if digest == after.durable.route_sha256 and not _begins_a_step(after.durable):
        return replace(after, table=table)
    version = after.durable.route_version + 1
    durable = replace(after.durable, route_version=version, route_sha256=digest, routed=routed_replicas(after))
    return replace(after, durable=durable, table=replace(table, version=version))


def pass_numbers(state: State, newest: int) -> State:
    """Goes on above `newest`, which requests bear already: the state was put back to an earlier one.

    Steps that go on begin anew, or requests of a time that the state knows nothing of would be theirs.
    """
    durable = state.durable
    if newest <= durable.route_version:
        return state
    anew = {one.id: _begun_anew(one, state.now_s) for one in running_migrations(durable) if one.records}
    migrations = {**durable.migrations, **anew} if anew else durable.migrations
    durable = replace(durable, route_version=newest, route_sha256="", migrations=migrations)
    return replace(state, durable=durable, table=None)


def _begun_anew(migration: Migration, now_s: float) -> Migration:
    again = ShiftRecord(migration.records[-1].percent, now_s)
    return replace(migration, records=(*migration.records, again), in_force_s=None, since_s=now_s)


def _begins_a_step(durable: Durable) -> bool:
    return any(m.records and not m.records[-1].from_version for m in running_migrations(durable))


def _is_routed_alike(before: State, after: State) -> bool:
    """Whether nothing has changed that a table is made of: at 10,000 tenants making it takes tens of milliseconds."""
    was, now = before.durable, after.durable
    return (
        replace(was, migrations={}) == replace(now, migrations={})
        and _endpoints(before.observed) == _endpoints(after.observed)
        and before.shadow_socket == after.shadow_socket
        and _are_moved_alike(was.migrations, now.migrations)
    )


def _endpoints(observed: Mapping[str, Observed]) -> object:
    """Notes on autoscalers change every few seconds."""
    return {name: (seen.replicas, seen.refs) for name, seen in observed.items() if name != LOAD_BALANCER}


def _are_moved_alike(was: Mapping[str, Migration], now: Mapping[str, Migration]) -> bool:
    if was is now:
        return True
    pairs = ((was.get(id), now.get(id)) for id in {**was, **now})
    return all(old is new or _move(old) == _move(new) for old, new in pairs)


def _move(migration: Migration | None) -> object:
    """All that a table has of it."""
    if migration is None or migration.phase in OVER:
        return None
    split = tuple(weights(migration).items())
    return migration.tenant, migration.destination, split, len(migration.records), migration.phase == "shadowing"


def _fingerprint(table: RouteTable) -> bytes:
    """Of what it routes; its number and where copies go are no part of that."""
    endpoints = sorted(table.upstream_keys.items()), sorted(table.refs.items())
    return repr((table.routes, table.replicas, endpoints)).encode()
