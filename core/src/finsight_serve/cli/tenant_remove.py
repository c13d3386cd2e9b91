"""`fs tenant remove`: a tenant that was added goes, and its keys with it."""

from pathlib import Path

import click

from .options import confirm, file_option, state_option
from .tenant import TENANT_COMMANDS
from .tenant_intents import carry_out, check_known, served


@click.command("remove", short_help=TENANT_COMMANDS["remove"])
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@file_option
@state_option
def tenant_remove(name: str, yes: bool, file: Path, state: Path | None) -> None:
    """Remove tenant NAME, which was added by `fs tenant add`, and its keys. Its ledger and its audit stay.

    Those of fs.yaml are taken out there.
    """
    from ..controller.facts import TenantRemoved
    from .intents import who

    folder, durable = served(file, state)
    check_known(durable, name)
    if not yes:
        confirm(f"Remove tenant {name} and its keys?", f"`fs tenant remove {name} --yes` does it")
    carry_out(folder, TenantRemoved(name, who()), f"Removed tenant {name}.")
