"""`fs migrate rollback`."""

from pathlib import Path

import click

from .migrate import MIGRATE_COMMANDS
from .options import confirm, file_option, named_state_dir, state_option


@click.command("rollback", short_help=MIGRATE_COMMANDS["rollback"])
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
        back = [
            f"{one.id}: {one.tenant} from {one.destination} back to {describe_weights(one.source)}"
            for one in migrations
        ]
        confirm("\n".join([*back, "Roll back?"]), f"`fs migrate rollback {' '.join(names)} --yes` rolls back")
    click.echo(intend_each(folder, migrations, RollbackAsked, "is being rolled back"))
