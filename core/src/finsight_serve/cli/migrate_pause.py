"""`fs migrate pause`."""

from pathlib import Path

import click

from .migrate import MIGRATE_COMMANDS
from .options import file_option, named_state_dir, state_option


@click.command("pause", short_help=MIGRATE_COMMANDS["pause"])
@click.argument("names", metavar="ID|TENANT...", nargs=-1, required=True)
@file_option
@state_option
def migrate_pause(names: tuple[str, ...], file: Path, state: Path | None) -> None:
    """Keep the migrations ID, or those of TENANT, at their present weights. Limits and the breaker still roll back."""
    from ..controller.facts import MigrationPaused
    from .migrate_intents import find_running, intend_each

    folder = named_state_dir(file, state)
    click.echo(intend_each(folder, find_running(folder, names), MigrationPaused, "is paused"))
