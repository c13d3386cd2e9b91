"""`fs tenant list`: all tenants, one a row."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import file_option, state_option
from .output import Shown, rendered
from .tenant import TENANT_COMMANDS
from .tenant_intents import served
from .times import clock_time, iso_time

if TYPE_CHECKING:
    from ..controller.state import Durable
    from ..stack import Tenant


@click.command("list", short_help=TENANT_COMMANDS["list"])
@file_option
@state_option
@rendered
def tenant_list(file: Path, state: Path | None) -> object:
    """List tenants: where they are named, where their requests go, limits, and how many keys hold."""
    from ..controller.routing import assignments
    from ..controller.tenancy import tenants

    _, durable = served(file, state)
    of_file = {tenant.name for tenant in durable.stack.tenants} if durable.stack else set()
    known = tenants(durable)
    weights = assignments(durable, {tenant.name for tenant in known}) if durable.stack else {}
    rows = [describe(durable, tenant, weights[tenant.name], tenant.name in of_file) for tenant in known]
    return Shown([row.value for row in rows], [row.table for row in rows])


def describe(durable: "Durable", tenant: "Tenant", weights: Mapping[str, int], is_in_file: bool) -> Shown:
    """One tenant's row; in a table its limits are one column, and times are short. Of its keys only how many hold."""
    from ..controller.routing import describe_weights
    from ..controller.tenancy import describe_limits

    keys = durable.tenant_key_sha256.get(tenant.name, ())
    ends = [durable.key_ends_s[key] for key in keys if key in durable.key_ends_s]
    named = {"name": tenant.name, "from": "fs.yaml" if is_in_file else "added"}
    limits = {
        "max_ongoing_requests": tenant.max_ongoing_requests,
        "requests_per_s": tenant.requests_per_s,
        "tokens_per_minute": tenant.tokens_per_minute,
    }
    last_s = max(ends, default=None)
    until = {"keys": len(keys), "earlier_keys_end": iso_time(last_s) if last_s else None}
    shown = {
        "weights": describe_weights(weights),
        "limits": describe_limits(tenant),
        "keys": len(keys),
        "earlier_keys_end": clock_time(last_s) if last_s else None,
    }
    return Shown({**named, "weights": dict(weights), **limits, **until}, {**named, **shown})
