"""`fs tenant list`: all tenants, one a row."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import file_option, state_option
from .output import rendered
from .tenant import TENANT_COMMANDS
from .tenant_intents import served

if TYPE_CHECKING:
    from ..controller.state import Durable
    from ..stack import Tenant


@click.command("list", short_help=TENANT_COMMANDS["list"])
@file_option
@state_option
@rendered
def tenant_list(file: Path, state: Path | None) -> object:
    """List tenants: where they are named, where their requests go, limits, and how many keys hold."""
    from ..controller.tenancy import tenants

    _, durable = served(file, state)
    of_file = {tenant.name for tenant in durable.stack.tenants} if durable.stack else set()
    as_json = click.get_current_context().params["output"] == "json"
    return [describe(durable, tenant, tenant.name in of_file, as_json=as_json) for tenant in tenants(durable)]


def describe(durable: "Durable", tenant: "Tenant", is_in_file: bool, *, as_json: bool) -> dict[str, object]:
    """One tenant's row. Of its keys only how many there are, and when the earlier ones end."""
    from ..controller.routing import assigned, describe_weights

    keys = durable.tenant_key_sha256.get(tenant.name, ())
    ends = [durable.key_ends_s[key] for key in keys if key in durable.key_ends_s]
    weights = assigned(durable, tenant)
    return {
        "name": tenant.name,
        "from": "fs.yaml" if is_in_file else "added",
        "weights": dict(weights) if as_json else describe_weights(weights),
        "max_ongoing_requests": tenant.max_ongoing_requests,
        "requests_per_s": tenant.requests_per_s,
        "tokens_per_minute": tenant.tokens_per_minute,
        "keys": len(keys),
        "earlier_keys_end": clock_time(max(ends)) if ends else None,
    }


def clock_time(at_s: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(at_s).astimezone().isoformat(timespec="seconds")
