"""`fs tenant add`: another tenant, beside those of the file."""

from pathlib import Path

import click

from .options import file_option, state_option
from .output import rendered
from .tenant import TENANT_COMMANDS
from .tenant_intents import carry_out, limit_options, new_key, served, show_key


@click.command("add", short_help=TENANT_COMMANDS["add"])
@click.argument("name")
@click.option("--deployment", metavar="NAME", help="Which one answers it. [default: the stack's first]")
@limit_options
@file_option
@state_option
@rendered
def tenant_add(
    name: str,
    deployment: str | None,
    requests_per_s: float | None,
    max_ongoing_requests: int | None,
    tokens_per_minute: int | None,
    file: Path,
    state: Path | None,
) -> None:
    """Add tenant NAME to what runs, and print its key: this once, and alone on stdout. Only its hash is stored.

    Over a limit a request is answered 429. `fs.yaml` is left as it is.
    """
    from ..controller.facts import TenantAdded
    from ..stack.values import Tenant
    from .intents import who

    folder, durable = served(file, state)
    assert durable.stack is not None
    place = deployment or durable.stack.deployments[0].name
    added = Tenant(name, place, max_ongoing_requests, requests_per_s, tokens_per_minute)
    key, digest = new_key()
    carry_out(folder, TenantAdded(added, digest, who()), f"Added tenant {name} on {place}; its key is shown this once.")
    show_key(key, name, f"tenant {name} is added; `fs tenant rotate {name} --grace 0s` makes another key")
