"""`fs status`: deployments, replicas, load, health, routes and what happened last."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import file_option, named_state_dir, state_option
from .output import Section, Shown, chosen_output, render, rendered
from .times import clock_time, iso_time

if TYPE_CHECKING:
    from ..controller.status import Status
    from ..domain import Event

NEWEST_EVENTS, NEWEST_OF_A_KIND = 10, 3
OF_SOME_BACKENDS = ("autoscaler", "endpoint")
WATCH_PERIOD_S = 2.0


@click.command(short_help="Deployments, replicas, load, health, routes, recent events")
@file_option
@state_option
@click.option("--watch", is_flag=True, help=f"Show it again every {WATCH_PERIOD_S:g} s.")
@rendered
def status(file: Path, state: Path | None, watch: bool) -> object:
    """Show what runs, how it is loaded, and what happened last. Without a controller: what was stored last."""
    folder = named_state_dir(file, state)
    output = chosen_output()
    while watch:
        text = render(list(sections(_read(folder))), output)
        if output == "table":
            click.clear()
        click.echo(text)
        time.sleep(WATCH_PERIOD_S)
    return list(sections(_read(folder)))


def _read(folder: Path) -> "Status":
    """Raises `UserError` where nothing was served yet."""
    from ..controller.client import Client
    from .stored import stored_status

    return Client(folder).status() or stored_status(folder)


def sections(status: "Status") -> Iterator[Section]:
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
    yield Section("deployments", _deployments(status))
    yield Section("replicas", status.replicas)
    yield Section("tenants", _tenants(status))
    if status.migrations:
        yield Section("migrations", _migrations(status))
    yield Section("ledger", status.ledger)
    if status.advice:
        yield Section("advice", Shown(status.advice, "\n".join(status.advice)))
    yield Section("events", Shown(_events(status, iso_time), _events(status, clock_time)))


def _deployments(status: "Status") -> Shown:
    rows = [asdict(one) for one in status.deployments]
    for column in OF_SOME_BACKENDS:
        if not any(row[column] for row in rows):
            rows = [{name: value for name, value in row.items() if name != column} for row in rows]
    breakers = [{"state": row.pop("breaker_state"), "reason": row.pop("breaker_reason")} for row in rows]
    return Shown([{**row, "breaker": one} for row, one in zip(rows, breakers, strict=True)], rows)


def _tenants(status: "Status") -> Shown:
    rows = [asdict(one) for one in status.tenants]
    weights = [row.pop("weights") for row in rows]
    return Shown([{**row, "routed_to": one} for row, one in zip(rows, weights, strict=True)], rows)


def _migrations(status: "Status") -> Shown:
    table = [{**asdict(one), "phase": one.phase.replace("_", " ")} for one in status.migrations]
    return Shown(status.migrations, table)


def _events(status: "Status", time_of: Callable[[float], str]) -> list[Mapping[str, str]]:
    return [
        {"at": time_of(one.at_s), "kind": one.kind, "subject": one.subject, "reason": one.reason}
        for one in chosen_events(status.events)
    ]


def chosen_events(events: "Sequence[Event]") -> "list[Event]":
    """The newest, few of each kind first: what happens every second leaves room for what happened once."""
    of_kind, few, more = Counter[str](), list[int](), list[int]()
    for index in reversed(range(len(events))):
        of_kind[events[index].kind] += 1
        (few if of_kind[events[index].kind] <= NEWEST_OF_A_KIND else more).append(index)
    return [events[index] for index in sorted([*few, *more][:NEWEST_EVENTS])]
