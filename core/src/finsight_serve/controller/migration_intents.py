"""What people ask of migrations: to begin them, hold them, go on, go back. Pure."""

from dataclasses import replace

from ..domain.migration import Migration, pause, request_rollback, resume
from .facts import MigrationFact, MigrationPaused, MigrationResumed, MigrationsAsked, RollbackAsked
from .migration_plan import refusal
from .refusal import Refusal
from .routing import assigned
from .state import State
from .tenancy import tenants

Told = list[tuple[str, str, str]]


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
                return _change(state, resume(migration, state.now_s)), [("migration_resumed", fact.id, _by(fact))]
            case RollbackAsked():
                back = request_rollback(migration, f"asked for {_by(fact)}".strip(), state.now_s)
                return _change(state, back), [("migration_rollback_asked", fact.id, _by(fact))]
    except ValueError as error:
        raise Refusal(str(error)) from error


def _by(fact: MigrationFact) -> str:
    return f"by {fact.by}" if fact.by else ""


def _begin(state: State, fact: MigrationsAsked) -> tuple[State, Told]:
    told: Told = []
    by_name = {tenant.name: tenant for tenant in tenants(state.durable)}
    for migration in fact.migrations:
        if why := refusal(state.durable, migration):
            raise Refusal(why)
        source = assigned(state.durable, by_name[migration.tenant])
        begun = replace(migration, source=source, phase="planned", since_s=state.now_s, asked_by=fact.by)
        state = _change(state, begun)
        told.append(("migration_asked", begun.id, f"{begun.tenant} to {begun.destination} {_by(fact)}".strip()))
    return state, told


def _running(state: State, id: str) -> Migration:
    migration = state.durable.migrations.get(id)
    if migration is None:
        raise Refusal(f"no migration has the id {id}; `fs migrate list` shows them")
    return migration


def _change(state: State, migration: Migration) -> State:
    migrations = {**state.durable.migrations, migration.id: migration}
    return replace(state, durable=replace(state.durable, migrations=migrations))
