"""`fs tenant`: who may call, by key."""

from pathlib import Path

import click

from .options import file_option, named_state_dir, state_option


@click.group(short_help="Tenants and their API keys")
def tenant() -> None:
    """Tenants are named in fs.yaml; their keys are made here, shown once and stored hashed."""


@tenant.command(short_help="Replace a tenant's key by a new one, shown once")
@click.argument("name")
@file_option
@state_option
def rotate(name: str, file: Path, state: Path | None) -> None:
    """Make a new key for tenant NAME. The old one stops working as soon as the load balancer has the new one."""
    from ..controller.client import Client
    from ..controller.facts import TenantKeyIssued
    from ..controller.session import hold, record
    from ..errors import UserError
    from ..processes import SystemClock
    from .bringup import new_key
    from .stored import stored_stack

    folder = named_state_dir(file, state)
    names = [known.name for known in stored_stack(folder).tenants]
    if name not in names:
        raise UserError(f"tenant {name}: not in this stack; it has {', '.join(names)}")
    key, digest = new_key()
    issued = TenantKeyIssued(name, digest)
    if not Client(folder).intend(issued):
        with hold(folder) as held:
            record(held, issued, SystemClock())
    click.echo(key)
