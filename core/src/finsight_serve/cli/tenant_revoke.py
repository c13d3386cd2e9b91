"""`fs tenant revoke`: no key of a tenant holds any more."""

from pathlib import Path

import click

from .options import confirm, file_option, state_option
from .tenant import TENANT_COMMANDS
from .tenant_intents import carry_out, check_known, served


@click.command("revoke", short_help=TENANT_COMMANDS["revoke"])
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@file_option
@state_option
def tenant_revoke(name: str, yes: bool, file: Path, state: Path | None) -> None:
    """End all keys of tenant NAME: its requests are answered 401 from then on.

    Streams that are open go on to their end. The tenant stays; `fs tenant rotate` makes it a new key.
    """
    from ..controller.facts import TenantKeysRevoked
    from .intents import who

    folder, durable = served(file, state)
    check_known(durable, name)
    count = len(durable.tenant_key_sha256.get(name, ()))
    if not count:
        click.echo(f"Tenant {name} has no key that holds.", err=True)
        return
    keys = "its key" if count == 1 else f"its {count} keys"
    if not yes:
        question = f"Refuse every request of tenant {name} from now on ({keys})?"
        confirm(question, f"`fs tenant revoke {name} --yes` does it")
    carry_out(folder, TenantKeysRevoked(name, who()), f"Revoked {keys}.")
