"""What people ask of migrations: to begin them, hold them, go on, go back. Pure."""

from dataclasses import replace

from ..domain.migration import NOT_BEGUN, Migration, pause, request_rollback, resume
from .facts import MigrationFact, MigrationPaused, MigrationResumed, MigrationsAsked, RollbackAsked
from .migration_plan import refusal
from .refusal import Refusal
from .routing import assignments
from .state import Durable, State
from .told import Told


def take_migration_fact(state: State, fact: MigrationFact) -> tuple[State, Told]:
    """Raises `Refusal`: what was right when it was planned may have changed since."""
    if isinstance(fact, MigrationsAsked):
        return _begin(state, fact)
    migration = _running(state, fact.id)
    try:
        match fact:
            case MigrationPaused():
                return _change(state, pause(migration, state.now_s)), [("migration_paused", fact.id, _by(fact))]
            case MigrationResumed():
                on = resume(migration, state.now_s, state.watched_since_s)
                return _change(state, on), [("migration_resumed", fact.id, _by(fact))]
            case RollbackAsked():
                if why := _no_way_back(state.durable, migration):
                    raise Refusal(why)
                back = request_rollback(migration, f"asked for {_by(fact)}".strip(), state.now_s)
                return _change(state, back), [("migration_rollback_asked", fact.id, _by(fact))]
    except ValueError as error:
        raise Refusal(str(error)) from error


def _no_way_back(durable: Durable, migration: Migration) -> str:
    """Why it can only go forward; "" where it can go back."""
    known = {deployment.name for deployment in durable.stack.deployments} if durable.stack else set()
    gone = sorted(migration.source.keys() - {migration.destination} - known)
    others = {id: one for id, one in durable.migrations.items() if one is not migration}
    stays_somewhere = any(assignments(replace(durable, migrations=others), {migration.tenant}).values())
    if not gone or (stays_somewhere and migration.phase in NOT_BEGUN):
        return ""
    return (
        f"migration {migration.id}: tenant {migration.tenant} can't go back, since {' and '.join(gone)} "
        f"left the stack; put it back into the file and run `fs serve`, or let the migration end"
    )


def _by(fact: MigrationFact) -> str:
    return f"by {fact.by}" if fact.by else ""


def _begin(state: State, fact: MigrationsAsked) -> tuple[State, Told]:
    """All at once: there may be thousands, and what is looked at for one is looked at for all."""
    if why := refusal(state.durable, fact.migrations):
        raise Refusal(why)
    weights = assignments(state.durable, {migration.tenant for migration in fact.migrations})
    begun = [
        Migration(
            migration.id,
            migration.tenant,
            weights[migration.tenant],
            migration.destination,
            migration.rules,
            batch=migration.batch,
            wave=migration.wave,
            model=state.durable.served_models.get(migration.destination, ""),
            asked_by=fact.by,
            asked_s=state.now_s,
            since_s=state.now_s,
        )
        for migration in fact.migrations
    ]
    told = [("migration_asked", one.id, f"{one.tenant} to {one.destination} {_by(fact)}".strip()) for one in begun]
    return _change(state, *begun), told


def _running(state: State, id: str) -> Migration:
    migration = state.durable.migrations.get(id)
    if migration is None:
        raise Refusal(f"no migration has the id {id}; `fs migrate list` shows them")
    return migration


def _change(state: State, *changed: Migration) -> State:
    migrations = {**state.durable.migrations, **{migration.id: migration for migration in changed}}
    return replace(state, durable=replace(state.durable, migrations=migrations))
