"""`fs status`: deployments, replicas, load, health, routes and what happened last."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import file_option, named_state_dir, state_option
from .output import Section, render, rendered

if TYPE_CHECKING:
    from ..controller.status import Status

NEWEST_EVENTS = 10
WATCH_PERIOD_S = 2.0


@click.command(short_help="Deployments, replicas, load, health, routes, recent events")
@file_option
@state_option
@click.option("--watch", is_flag=True, help=f"Show it again every {WATCH_PERIOD_S:g} s.")
@rendered
def status(file: Path, state: Path | None, watch: bool) -> object:
    """Show what runs, how it is loaded, and what happened last. Without a controller: what was stored last."""
    folder = named_state_dir(file, state)
    output = click.get_current_context().params["output"]
    while watch:
        text = render(list(_sections(_read(folder))), output)
        if output == "table":
            click.clear()
        click.echo(text)
        time.sleep(WATCH_PERIOD_S)
    return list(_sections(_read(folder)))


def _read(folder: Path) -> "Status":
    """Raises `UserError` where nothing was served yet."""
    from ..controller.client import Client
    from .stored import stored_status

    return Client(folder).status() or stored_status(folder)


def _sections(status: "Status") -> Iterator[Section]:
    yield Section(
        "stack",
        {
            "name": status.stack,
            "controller": status.controller,
            "url": status.url,
            "load_balancer": status.load_balancer,
            "route_version": status.route_version,
        },
    )
    yield Section("backends", status.backends)
    yield Section("deployments", status.deployments)
    yield Section("replicas", status.replicas)
    yield Section("tenants", status.tenants)
    if status.migrations:
        yield Section("migrations", status.migrations)
    yield Section("ledger", status.ledger)
    if status.advice:
        yield Section("advice", "\n".join(status.advice))
    yield Section(
        "events",
        [
            {
                "at": f"{datetime.fromtimestamp(e.at_s):%Y-%m-%d %H:%M:%S}",
                "kind": e.kind,
                "subject": e.subject,
                "reason": e.reason,
            }
            for e in status.events[-NEWEST_EVENTS:]
        ],
    )
