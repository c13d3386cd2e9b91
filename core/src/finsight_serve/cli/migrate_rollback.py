"""`fs migrate rollback`."""

import sys
from pathlib import Path

import click

from ..errors import UserError
from .options import file_option, named_state_dir, state_option


@click.command("rollback", short_help="Give tenants their old weights back")
@click.argument("names", metavar="ID|TENANT...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@file_option
@state_option
def migrate_rollback(names: tuple[str, ...], yes: bool, file: Path, state: Path | None) -> None:
    """Take the running migrations ID, or those of TENANT, back: the old weights hold at once, open streams go on.

    What is over is taken back by another migration, the other way.
    """
    from ..controller.facts import RollbackAsked
    from ..controller.routing import describe_weights
    from .migrate_intents import find_running, intend_each

    folder = named_state_dir(file, state)
    migrations = find_running(folder, names)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("nobody can be asked here: `fs migrate rollback … --yes` rolls back without a question")
        for one in migrations:
            click.echo(f"{one.id}: {one.tenant} from {one.destination} back to {describe_weights(one.source)}")
        click.confirm("Roll back?", abort=True)
    click.echo(intend_each(folder, migrations, RollbackAsked, "is being rolled back"))
