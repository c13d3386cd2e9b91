"""`fs migrate list`: every migration that runs, and the last that are over."""

from pathlib import Path

import click

from .migrate import MIGRATE_COMMANDS
from .options import file_option, named_state_dir, state_option
from .output import rendered


@click.command("list", short_help=MIGRATE_COMMANDS["list"])
@file_option
@state_option
@rendered
def migrate_list(file: Path, state: Path | None) -> object:
    """List migrations in the order in which they were asked for. What was longer ago is in `fs audit`."""
    from ..controller.migration_plan import in_order
    from .migrate_view import opened_ledger, shown_list
    from .stored import stored_stack, stored_state

    folder = named_state_dir(file, state)
    stored_stack(folder)
    with opened_ledger(folder) as ledger:
        return shown_list(in_order(stored_state(folder).durable.migrations.values()), ledger)
