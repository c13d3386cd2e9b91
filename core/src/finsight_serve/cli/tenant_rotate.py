"""`fs tenant rotate`: a new key, while the earlier ones still hold for a while."""

from pathlib import Path

import click

from ..domain.wording import span
from .options import duration, file_option, state_option
from .output import rendered
from .tenant import TENANT_COMMANDS
from .tenant_intents import carry_out, new_key, served, show_key


@click.command("rotate", short_help=TENANT_COMMANDS["rotate"])
@click.argument("name")
@click.option(
    "--grace",
    "grace_s",
    type=duration,
    metavar="DURATION",
    default="24h",
    show_default=True,
    help="How long the earlier keys still hold; 0s for one that leaked.",
)
@file_option
@state_option
@rendered
def tenant_rotate(name: str, grace_s: float, file: Path, state: Path | None) -> None:
    """Make tenant NAME a new key and print it: this once, and alone on stdout. Only its hash is stored."""
    from ..controller.facts import TenantKeyIssued
    from .intents import who

    folder, durable = served(file, state)
    key, digest = new_key()
    earlier = f"; earlier ones hold for {span(grace_s)} more" if grace_s else "; earlier ones end"
    if not durable.tenant_key_sha256.get(name):
        earlier = ""
    done = f"The new key of tenant {name} is shown this once{earlier}."
    carry_out(folder, TenantKeyIssued(name, digest, grace_s, who()), done)
    show_key(key, name, f"tenant {name} has it; `fs tenant rotate {name}` makes another key")
