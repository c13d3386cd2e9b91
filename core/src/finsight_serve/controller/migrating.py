"""Migrations in the controller: what each is told of the world, and what follows from its state. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..domain import AutoscalingPolicy
from ..domain.migration import OVER, Migration, Situation, Waves, note_version, step, weights
from ..plugin import Replica
from ..stack.values import Stack
from .state import LOAD_BALANCER, Durable, State
from .tenancy import tenants

Told = list[tuple[str, str, str]]

OVER_KEPT = 200
"""Migrations that are over and still listed; older ones are in the audit."""
SNAPSHOT_S = 3.0
"""The load balancer counts its open streams about once a second: sooner, a count may be of before the weights held."""
MOST_STEPS_AT_ONCE = 10
"""More than there are phases: a migration settles within a few, or something is wrong with its rules."""


def running_migrations(durable: Durable) -> Iterator[Migration]:
    return (migration for migration in durable.migrations.values() if migration.phase not in OVER)


def weights_while_migrating(durable: Durable) -> Mapping[str, Mapping[str, int]]:
    """Tenant → weights, of those that are being moved."""
    return {migration.tenant: weights(migration) for migration in running_migrations(durable)}


def prescaled(durable: Durable, deployment: str) -> AutoscalingPolicy:
    """The numbers in force, with the floor raised for whoever is being moved there."""
    policy = durable.policies_in_force[deployment]
    held = [m.prescale_replicas for m in running_migrations(durable) if m.destination == deployment]
    floor = min(max(held, default=0), policy.max_replicas)
    return replace(policy, min_replicas=floor) if floor > policy.min_replicas else policy


def keep_assignments(old: Durable, new: Stack) -> Mapping[str, Mapping[str, int]]:
    """Where tenants were moved to, for a newly chosen stack: a file that names another deployment than before wins."""
    earlier = {tenant.name: tenant.deployment for tenant in old.stack.tenants} if old.stack else {}
    now = {tenant.name: tenant.deployment for tenant in new.tenants}
    known = {deployment.name for deployment in new.deployments}
    return {
        tenant: assigned
        for tenant, assigned in old.assignments.items()
        if assigned.keys() <= known
        and (tenant in old.added_tenants or tenant in now)
        and earlier.get(tenant) == now.get(tenant)
    }


def advance_migrations(state: State) -> tuple[State, Told]:
    """Every running migration, as far as it can go now; none while the stack comes up or is taken down."""
    if state.stopping is not None or not state.durable.serving:
        return state, []
    told: Told = []
    for migration in list(running_migrations(state.durable)):
        state, more = _advance(state, migration)
        told += more
    return state, told


def note_versions(state: State) -> State:
    """Steps that began just now belong to the route table that has just been numbered."""
    changed = {}
    for migration in running_migrations(state.durable):
        noted = note_version(migration, state.durable.route_version)
        if noted != migration:
            changed[migration.id] = noted
    return _with_migrations(state, {**state.durable.migrations, **changed}) if changed else state


def _advance(state: State, migration: Migration) -> tuple[State, Told]:
    told: Told = []
    for _ in range(MOST_STEPS_AT_ONCE):
        following = step(migration, situation_of(state, migration), state.now_s)
        if following == migration:
            break
        told += _tell(migration, following)
        state = _store(state, following)
        migration = following
    return state, told


def _store(state: State, migration: Migration) -> State:
    after = _with_migrations(state, {**state.durable.migrations, migration.id: migration})
    if migration.phase not in OVER:
        return after
    durable = after.durable
    if migration.phase == "done":
        assignments = {**durable.assignments, migration.tenant: {migration.destination: 100}}
        durable = replace(durable, assignments=assignments)
    return replace(after, durable=replace(durable, migrations=_kept(durable.migrations)))


def _kept(migrations: Mapping[str, Migration]) -> Mapping[str, Migration]:
    """Without the oldest that are over; later waves have to hear how the earlier ones of their batch ended."""
    batches = {m.batch for m in migrations.values() if m.phase not in OVER}
    over = [m.id for m in migrations.values() if m.phase in OVER and m.batch not in batches]
    dropped = set(over[:-OVER_KEPT])
    return {id: m for id, m in migrations.items() if id not in dropped}


def _with_migrations(state: State, migrations: Mapping[str, Migration]) -> State:
    return replace(state, durable=replace(state.durable, migrations=migrations))


def _tell(old: Migration, new: Migration) -> Told:
    told: Told = []
    if new.phase != old.phase:
        match new.phase:
            case "done":
                told.append(("migration_done", new.id, f"{new.tenant} is at {new.destination}{_because(new)}"))
            case "rolling_back":
                told.append(("migration_rolling_back", new.id, new.reason))
            case "rolled_back":
                told.append(("migration_rolled_back", new.id, new.reason))
            case "failed":
                told.append(("migration_failed", new.id, new.reason))
            case _:
                told.append(("migration_phase", new.id, f"{new.tenant}: {new.phase}{_because(new)}"))
    if new.phase == "shifting" and (new.phase, new.step) != (old.phase, old.step):
        percent = new.rules.steps[new.step]
        told.append(("migration_step", new.id, f"{new.tenant}: {percent} % to {new.destination}"))
    return told


def _because(migration: Migration) -> str:
    return f": {migration.reason}" if migration.reason else ""


def situation_of(state: State, migration: Migration) -> Situation:
    """What the state says of the world; None for what it can't say now."""
    durable = state.durable
    stack = durable.stack
    deployments = {d.name: d for d in stack.deployments} if stack else {}
    sources = [name for name in migration.source if name != migration.destination]
    destination = deployments.get(migration.destination)
    ready = _ready(state, migration.destination)
    health = [state.health[replica.id] for replica in ready or () if replica.id in state.health]
    breaker = durable.breakers.get(migration.destination)
    figures = state.migration_figures.get(migration.id)
    from_version = migration.records[-1].from_version if migration.records else 0
    is_current = figures is not None and figures.from_version == from_version
    return Situation(
        tenant_exists=any(tenant.name == migration.tenant for tenant in tenants(durable)),
        destination_exists=destination is not None,
        sources_exist=all(name in deployments for name in sources),
        source_replicas=max((len(_ready(state, name) or ()) for name in sources), default=0),
        destination_replicas=None if ready is None else len(ready),
        destination_failing=sum(1 for one in health if one.failures > 0),
        destination_probed=sum(1 for one in health if one.failures == 0 and one.verdict == "ok"),
        destination_ceiling=durable.policies_in_force[destination.name].max_replicas if destination else 1,
        breaker_is_open=breaker is not None and breaker.state == "open",
        is_in_force=0 < from_version <= state.routes_in_force,
        destination=figures.destination if figures is not None and is_current else None,
        source=figures.source if figures is not None and is_current else None,
        open_at_sources=_open_streams(state, migration, sources),
        open_at_destination=_open_streams(state, migration, [migration.destination]),
        shadow=state.shadow_reports.get(migration.id),
        earlier_waves=_earlier_waves(durable, migration),
    )


def _ready(state: State, deployment: str) -> list[Replica] | None:
    """None where its backend has not been looked at since the start."""
    stack = state.durable.stack
    backend = next((d.backend for d in stack.deployments if d.name == deployment), None) if stack else None
    seen = state.observed.get(backend) if backend is not None else None
    if seen is None:
        return None
    gone = state.durable.evicting
    return [r for r in seen.replicas if r.deployment == deployment and r.state == "ready" and r.id not in gone]


def _open_streams(state: State, migration: Migration, deployments: list[str]) -> int | None:
    seen = state.observed.get(LOAD_BALANCER)
    if seen is None or seen.open_streams is None or migration.in_force_s is None:
        return None
    if state.now_s < migration.in_force_s + SNAPSHOT_S:
        return None
    return sum(seen.open_streams.get((migration.tenant, name), 0) for name in deployments)


def _earlier_waves(durable: Durable, migration: Migration) -> Waves:
    phases = {m.phase for m in durable.migrations.values() if m.batch == migration.batch and m.wave < migration.wave}
    if not migration.batch or phases <= {"done"}:
        return "done"
    return "broken" if phases & {"rolled_back", "failed"} else "running"
