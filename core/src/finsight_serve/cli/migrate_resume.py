"""`fs migrate resume`."""

from pathlib import Path

import click

from .migrate import MIGRATE_COMMANDS
from .options import file_option, named_state_dir, state_option


@click.command("resume", short_help=MIGRATE_COMMANDS["resume"])
@click.argument("names", metavar="ID|TENANT...", nargs=-1, required=True)
@file_option
@state_option
def migrate_resume(names: tuple[str, ...], file: Path, state: Path | None) -> None:
    """Let the paused migrations ID, or those of TENANT, go on from where they are."""
    from ..controller.facts import MigrationResumed
    from .migrate_intents import find_running, intend_each

    folder = named_state_dir(file, state)
    click.echo(intend_each(folder, find_running(folder, names), MigrationResumed, "goes on"))
