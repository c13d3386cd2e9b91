"""`fs tenant rotate`: a new key, while the earlier ones still hold for a while."""

from pathlib import Path

import click

from .options import DURATION, file_option, state_option
from .output import rendered
from .tenant import TENANT_COMMANDS
from .tenant_intents import carry_out, new_key, served, show_key


@click.command("rotate", short_help=TENANT_COMMANDS["rotate"])
@click.argument("name")
@click.option(
    "--grace",
    "grace_s",
    type=DURATION,
    default="24h",
    show_default=True,
    help="How long the earlier keys still hold; 0s for one that leaked.",
)
@file_option
@state_option
@rendered
def tenant_rotate(name: str, grace_s: float, file: Path, state: Path | None) -> object:
    """Make tenant NAME a new key and print it: this once, and alone on stdout. Only its hash is stored."""
    from ..controller.facts import TenantKeyIssued
    from .intents import who

    folder, _ = served(file, state)
    key, digest = new_key()
    left = f"{grace_s / 3600:g} h" if grace_s >= 3600 else f"{grace_s:g} s"
    earlier = f"earlier ones hold for {left} more" if grace_s else "earlier ones end"
    done = f"The new key of tenant {name} is shown this once; {earlier}."
    carry_out(folder, TenantKeyIssued(name, digest, grace_s, who()), done)
    return show_key(key, name)
