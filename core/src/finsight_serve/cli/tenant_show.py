"""`fs tenant show`: one tenant, with its usage and what moves it."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import file_option, state_option
from .output import Section, Shown, chosen_output, rendered
from .tenant import TENANT_COMMANDS
from .tenant_intents import check_known, served
from .tenant_list import describe
from .tenant_usage import month_of, usage

if TYPE_CHECKING:
    from ..controller.state import Durable


@click.command("show", short_help=TENANT_COMMANDS["show"])
@click.argument("name")
@file_option
@state_option
@rendered
def tenant_show(name: str, file: Path, state: Path | None) -> object:
    """Show tenant NAME: where its requests go, limits, keys, what is open now, this month's usage, its migration."""
    folder, durable = served(file, state)
    check_known(durable, name)
    as_json = chosen_output() == "json"
    return list(_sections(folder, durable, name, as_json=as_json))


def _sections(folder: Path, durable: "Durable", name: str, *, as_json: bool) -> Iterator[Section]:
    from ..controller.client import Client
    from ..controller.routing import assigned
    from ..controller.tenancy import find_tenant, is_in_file
    from ..processes import SystemClock

    status = Client(folder).status()
    is_open = next((one.open_requests for one in status.tenants if one.name == name), None) if status else None
    tenant = find_tenant(durable, name)
    row = describe(durable, tenant, assigned(durable, tenant), is_in_file(durable, name))
    is_now = {"open_requests": is_open}
    yield Section("tenant", Shown({**row.value, **is_now}, {**row.table, **is_now}))
    month, from_s, until_s = month_of(None, SystemClock().now())
    counted = usage(folder, from_s, until_s)
    yield Section(f"usage {month}" if not as_json else "usage", [asdict(row) for row in counted if row.tenant == name])
    yield Section("migration", _migrations(durable, name))


def _migrations(durable: "Durable", name: str) -> list[dict[str, object]]:
    from ..controller.migrating import running_migrations

    return [
        {"id": one.id, "to": one.destination, "phase": one.phase, "paused": one.paused, "reason": one.reason}
        for one in running_migrations(durable)
        if one.tenant == name
    ]
