"""Migrations in the controller: what each is told of the world, and what follows from its state. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from ..domain import AutoscalingPolicy
from ..domain.breaker import BreakerState
from ..domain.migration import OVER, Migration, Situation, Waves, note_version, step
from ..plugin import Replica
from .state import LOAD_BALANCER, Durable, State
from .tenancy import tenants
from .told import Told

OVER_KEPT = 200
"""Migrations that are over and still listed; older ones are in the audit."""
SNAPSHOT_S = 3.0
"""The load balancer counts its open streams about once a second: sooner, a count may be of before the weights held."""
MOST_STEPS_AT_ONCE = 10
"""More than there are phases: a migration settles within a few, or something is wrong with its rules."""


def running_migrations(durable: Durable) -> Iterator[Migration]:
    return (migration for migration in durable.migrations.values() if migration.phase not in OVER)


def migrations_by_tenant(durable: Durable) -> Mapping[str, Migration]:
    """Of those that are being moved: a tenant has one at a time."""
    return {migration.tenant: migration for migration in running_migrations(durable)}


def prescaled(durable: Durable) -> Mapping[str, AutoscalingPolicy]:
    """Deployment → the numbers in force, with the floor raised for whoever is being moved there.

    Tenants of one source share what it has; those of another bring as many replicas' load again.
    """
    held: dict[str, dict[frozenset[str], int]] = {}
    for m in running_migrations(durable):
        if m.prescale_replicas:
            by_source, sources = held.setdefault(m.destination, {}), frozenset(m.source) - {m.destination}
            by_source[sources] = max(by_source.get(sources, 0), m.prescale_replicas)
    return {
        name: _with_floor(policy, sum(held.get(name, {}).values()))
        for name, policy in durable.policies_in_force.items()
    }


def _with_floor(policy: AutoscalingPolicy, floor: int) -> AutoscalingPolicy:
    floor = min(floor, policy.max_replicas)
    return replace(policy, min_replicas=floor) if floor > policy.min_replicas else policy


def advance_migrations(state: State) -> tuple[State, Told]:
    """Every running migration, as far as it can go now; none while the stack is taken down."""
    if state.stopping is not None:
        return state, []
    state = _watch(state)
    told: Told = []
    if not any(running_migrations(state.durable)):
        return state, told
    names = _tenant_names(state.durable)
    changed: dict[str, Migration] = {}
    for earlier, wave in _waves(state.durable.migrations, changed):
        for migration in wave:
            if _only_waits(state, migration, names, earlier):
                continue
            following, more = _advance(state, migration, names, earlier)
            told += more
            if following is not migration:
                changed[migration.id] = following
    return _store(state, changed) if changed else state, told


def _watch(state: State) -> State:
    """Migrations go forward once every deployment has been up and, since the start, anything was looked at."""
    can_go = state.durable.serving and bool(state.observed)
    if can_go == (state.watched_since_s is not None):
        return state
    return replace(state, watched_since_s=state.now_s if can_go else None)


def note_versions(state: State) -> State:
    """Steps that began just now belong to the route table that has just been numbered."""
    changed = {}
    for migration in running_migrations(state.durable):
        noted = note_version(migration, state.durable.route_version)
        if noted is not migration:
            changed[migration.id] = noted
    return _with_migrations(state, {**state.durable.migrations, **changed}) if changed else state


def _waves(
    migrations: Mapping[str, Migration], changed: Mapping[str, Migration]
) -> Iterator[tuple[Waves, list[Migration]]]:
    """Each wave's running migrations, and how the waves before it ended: those in `changed` as they are there.

    A wave is only asked for once the ones before it were gone through: so all of it costs one look at each migration.
    """
    in_order = sorted(migrations.values(), key=lambda m: (m.batch, m.wave))
    for batch, of_batch in groupby(in_order, key=lambda m: m.batch):
        earlier: Waves = "done"
        for _, of_wave in groupby(of_batch, key=lambda m: m.wave):
            wave = list(of_wave)
            yield earlier, [m for m in wave if m.phase not in OVER]
            if batch:
                earlier = _worst(earlier, *(_outcome(changed.get(m.id, m)) for m in wave))


def _outcome(migration: Migration) -> Waves:
    if migration.phase == "done":
        return "done"
    return "broken" if migration.phase in OVER else "running"


def _worst(*waves: Waves) -> Waves:
    return "broken" if "broken" in waves else "running" if "running" in waves else "done"


def _only_waits(state: State, migration: Migration, names: Collection[str], earlier: Waves) -> bool:
    """For the waves before its own, as thousands may at a time: nothing else has to be known of it."""
    return (
        migration.phase == "planned"
        and earlier == "running"
        and migration.tenant in names
        and migration.destination in state.durable.policies_in_force
    )


def _advance(state: State, migration: Migration, names: Collection[str], earlier: Waves) -> tuple[Migration, Told]:
    told: Told = []
    for _ in range(MOST_STEPS_AT_ONCE):
        following = step(migration, _situation(state, migration, names, earlier), state.now_s)
        if following is migration:
            break
        told += _tell(migration, following)
        migration = following
    return migration, told


def _store(state: State, changed: Mapping[str, Migration]) -> State:
    migrations: Mapping[str, Migration] = {**state.durable.migrations, **changed}
    over = [migration for migration in changed.values() if migration.phase in OVER]
    if not over:
        return _with_migrations(state, migrations)
    moved = {migration.tenant: {migration.destination: 100} for migration in over if migration.phase == "done"}
    assignments = {**state.durable.assignments, **moved} if moved else state.durable.assignments
    return replace(state, durable=replace(state.durable, migrations=_kept(migrations), assignments=assignments))


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
    earlier = _earlier_waves(state.durable, migration)
    return _situation(state, migration, _tenant_names(state.durable), earlier)


def _situation(state: State, migration: Migration, names: Collection[str], earlier: Waves) -> Situation:
    """`names` of the tenants and `earlier` waves: found once for many migrations."""
    durable = state.durable
    stack = durable.stack
    deployments = {d.name: d for d in stack.deployments} if stack else {}
    sources = [name for name in migration.source if name != migration.destination]
    destination = deployments.get(migration.destination)
    ready = _ready_now(state, migration.destination)
    at_sources = [_ready(state, name) for name in sources]
    health = [state.health[replica.id] for replica in ready or () if replica.id in state.health]
    figures = state.migration_figures.get(migration.id)
    from_version = migration.records[-1].from_version if migration.records else 0
    is_current = figures is not None and figures.from_version == from_version
    return Situation(
        tenant_exists=migration.tenant in names,
        destination_exists=destination is not None,
        sources_exist=all(name in deployments for name in sources),
        watched_since_s=state.watched_since_s,
        source_replicas=max(map(len, at_sources), default=0),
        sources_take_all=any(
            found and _breaker(durable, name) == "closed" for name, found in zip(sources, at_sources, strict=True)
        ),
        destination_replicas=None if ready is None else len(ready),
        destination_failing=sum(1 for one in health if one.failures > 0),
        destination_probed=sum(1 for one in health if one.failures == 0 and one.verdict == "ok"),
        destination_ceiling=durable.policies_in_force[destination.name].max_replicas if destination else 1,
        breaker=_breaker(durable, migration.destination),
        is_in_force=0 < from_version <= state.routes_in_force,
        destination=figures.destination if figures is not None and is_current else None,
        since_first=figures.since_first if figures is not None and is_current else None,
        destination_model=durable.served_models.get(migration.destination, ""),
        source=figures.source if figures is not None and is_current else None,
        open_at_sources=_open_streams(state, migration, sources),
        open_at_destination=_open_streams(state, migration, [migration.destination]),
        shadow=state.shadow_reports.get(migration.id),
        earlier_waves=earlier,
    )


def _breaker(durable: Durable, deployment: str) -> BreakerState:
    return durable.breakers[deployment].state if deployment in durable.breakers else "closed"


def _ready(state: State, deployment: str) -> list[Replica]:
    """As they are routed to: one that was not looked at since the start may well be as it was routed last.

    And those at a backend that it leaves: they serve until it is up at the other.
    """
    found: list[Replica] = []
    for backend in (_backend(state, deployment), *state.durable.retired):
        seen = state.observed.get(backend)
        found += state.durable.routed.get(backend, ()) if seen is None else seen.replicas
    gone = state.durable.evicting
    return [r for r in found if r.deployment == deployment and r.state == "ready" and r.id not in gone]


def _ready_now(state: State, deployment: str) -> list[Replica] | None:
    """None where its backend can't be looked at now: an old look proves nothing."""
    backend = _backend(state, deployment)
    return _ready(state, deployment) if backend in state.observed and backend not in state.unreachable else None


def _backend(state: State, deployment: str) -> str:
    """ "" where there is no such deployment: the load balancer has no replicas."""
    stack = state.durable.stack
    return next((d.backend for d in stack.deployments if d.name == deployment), "") if stack else ""


def _open_streams(state: State, migration: Migration, deployments: list[str]) -> int | None:
    seen = state.observed.get(LOAD_BALANCER)
    if seen is None or seen.open_streams is None or LOAD_BALANCER in state.unreachable:
        return None
    if migration.in_force_s is None:
        return None
    if state.now_s < migration.in_force_s + SNAPSHOT_S:
        return None
    return sum(seen.open_streams.get((migration.tenant, name), 0) for name in deployments)


def _earlier_waves(durable: Durable, migration: Migration) -> Waves:
    if not migration.batch or not migration.wave:
        return "done"
    own = (m for m in durable.migrations.values() if m.batch == migration.batch and m.wave < migration.wave)
    return _worst(*map(_outcome, own))


def _tenant_names(durable: Durable) -> Collection[str]:
    return {tenant.name for tenant in tenants(durable)}
