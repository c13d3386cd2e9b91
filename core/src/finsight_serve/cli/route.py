"""`fs route`: where each tenant's requests go, why, and how that came about."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import file_option, named_state_dir, state_option
from .output import Section, Shown, rendered
from .times import clock_time, iso_time

if TYPE_CHECKING:
    from ..controller.state import Durable, State
    from ..stack.values import Tenant


@click.group(short_help="Where tenants' requests go, why, and since when")
def route() -> None:
    """Where tenants' requests go: what was assigned, and what holds now."""


@route.command(short_help="Each tenant's weights: assigned, and as they hold now")
@click.argument("tenant", required=False)
@file_option
@state_option
@rendered
def show(tenant: str | None, file: Path, state: Path | None) -> object:
    """Show of each tenant (or of TENANT) what it was assigned, what holds now, and why that differs.

    The numbers are percent of its requests.
    """
    from ..controller.client import Client
    from ..controller.routing import describe_weights
    from .stored import stored_state

    folder = named_state_dir(file, state)
    stored = stored_state(folder)
    rows = list(route_rows(stored, tenant))
    table = [{**row, **{key: describe_weights(row[key]) for key in ("assigned", "now")}} for row in rows]
    live = Client(folder).status()
    in_force = live.routes_in_force if live else None
    facts = {
        "version": stored.durable.route_version,
        "in_force": in_force,
        "load_balancer": live.load_balancer if live else "no controller runs: it goes on with what it was given last",
    }
    return [Section("routes", facts), Section("tenants", Shown(rows, table))]


@route.command(short_help="How the routes changed")
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="So many changes.")
@file_option
@state_option
@rendered
def history(last: int, file: Path, state: Path | None) -> object:
    """Show the newest versions of the route table, oldest first: when each came, and why."""
    from ..store import Store
    from ..store.store import EVENTS_KEPT
    from .stored import stored_stack

    folder = named_state_dir(file, state)
    stored_stack(folder)
    with closing(Store(folder, read_only=True)) as store:
        changes = [event for event in store.events(last=EVENTS_KEPT) if event.kind == "routes_changed"]
    shown = changes[-last:]
    return Shown(
        [{"at": iso_time(e.at_s), "version": int(e.subject), "reason": e.reason} for e in shown],
        [{"at": clock_time(e.at_s), "version": e.subject, "reason": e.reason} for e in shown],
    )


def route_rows(state: "State", only: str | None = None) -> Iterator[Mapping[str, Any]]:
    """A row for each tenant, or for `only`. Raises `UserError` where nobody is named so."""
    from ..controller.migration_plan import unknown
    from ..controller.routing import assignments, route_table
    from ..controller.tenancy import tenants

    durable = state.durable
    known = {tenant.name: tenant for tenant in tenants(durable)}
    if only is not None and only not in known:
        raise UserError(unknown("tenant", only, known))
    given = assignments(durable, known.keys())
    now = {route.tenant: route.weights for route in route_table(state).routes}
    ready = {replica.deployment for replica in route_table(state).replicas}
    for name, tenant in known.items():
        if only is None or name == only:
            weights = given[name]
            yield {
                "tenant": name,
                "assigned": dict(weights),
                "now": dict(now[name]),  # REFUSED, "", among the keys
                "why": "; ".join(_why(durable, tenant, weights, ready)),
            }


def _why(durable: "Durable", tenant: "Tenant", weights: Mapping[str, int], ready: set[str]) -> Iterator[str]:
    """What makes the weights other than all on the tenant's own deployment."""
    from ..controller.migrating import running_migrations
    from .migrate_view import describe_phase

    running = next((m for m in running_migrations(durable) if m.tenant == tenant.name), None)
    if running is not None:
        yield f"{running.id} moves it to {running.destination}: {describe_phase(running)}"
    elif dict(weights) != {tenant.deployment: 100}:
        yield (
            f"moved; its own deployment is {tenant.deployment}"
            if weights
            else f"its deployment {tenant.deployment} is not in this stack"
        )
    for name in weights:
        breaker = durable.breakers.get(name)
        if name not in ready:
            yield f"{name} has no ready replica"
        elif breaker is not None and breaker.state != "closed":
            yield f"breaker of {name} is {breaker.state.replace('_', '-')}: {breaker.reason}"
