"""`fs migrate explain`: what a migration is doing and what it waits for."""

from pathlib import Path

import click

from .migrate import MIGRATE_COMMANDS
from .options import file_option, named_state_dir, state_option
from .output import Section, Shown, rendered


@click.command("explain", short_help=MIGRATE_COMMANDS["explain"])
@click.argument("name", metavar="ID|TENANT")
@file_option
@state_option
@rendered
def migrate_explain(name: str, file: Path, state: Path | None) -> object:
    """Say what the migration ID, or that of TENANT, is doing, why, and what must be before it goes on."""
    from ..controller.client import Client
    from ..controller.migration_plan import find_migration
    from ..domain.migration import explain
    from .migrate_view import opened_ledger, shown_row, shown_steps, step_rows
    from .stored import stored_state

    folder = named_state_dir(file, state)
    stored = stored_state(folder)
    migration = find_migration(stored.durable, name)
    live = Client(folder).status()
    lines = (live.explanations.get(migration.id) if live else None) or explain(migration, None, stored.now_s)
    with opened_ledger(folder) as ledger:
        steps = Section("steps", shown_steps(step_rows(migration, ledger)))
        values = [Section("migration", shown_row(migration, ledger)), Section("lines", list(lines)), steps]
        return Shown(values, [Section(migration.id, "\n".join(lines)), steps])
