"""`fs tenant`: who may call, by key, and how much."""

from collections.abc import Mapping

import click

from .main import LazyGroup

TENANT_COMMANDS: Mapping[str, str] = {  # as COMMANDS: in the modules tenant_add, …
    "add": "Add a tenant and print its key, once",
    "rotate": "Print a new key, once; the earlier ones hold for a while",
    "revoke": "End all keys of a tenant at once",
    "set": "Change the limits of a tenant that was added",
    "remove": "Remove a tenant that was added, and its keys",
    "list": "Tenants, where their requests go, limits, keys",
    "show": "One tenant, with its usage and what moves it",
    "usage": "Requests and tokens of a month, by tenant and deployment",
}


@click.group(cls=LazyGroup, listing=TENANT_COMMANDS, prefix="tenant_", short_help="Tenants and their API keys")
def tenant() -> None:
    """Tenants are named in fs.yaml or added here; their keys are made here, shown once and stored hashed."""
