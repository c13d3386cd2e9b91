"""`fs ledger`: what became of every request, added up or one by one."""

from collections.abc import Iterable
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from .options import check_writable, duration, file_option, named_state_dir, state_option
from .output import rendered

if TYPE_CHECKING:
    from ..controller.state import Durable
    from ..domain.migration import Migration
    from ..store import Ledger

MOST_NAMES = 10
LISTED = "; `fs tenant list` and `fs migrate list` show them"


@click.command(short_help="What became of every request: counts, proofs, export")
@click.argument("name", required=False, metavar="[TENANT|MIGRATION]")
@click.option("--since", type=duration, metavar="DURATION", help="Only requests that began so long ago at most, as 1h.")
@click.option("--deployment", metavar="NAME", help="Only requests of this one.")
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write one row per request to FILE.csv or FILE.parquet.",
)
@file_option
@state_option
@rendered
def ledger(
    name: str | None, since: float | None, deployment: str | None, export: Path | None, file: Path, state: Path | None
) -> object:
    """Count requests by tenant and deployment; of a tenant also tokens and times; of a migration each step's.

    `turned_away` are those of the complete ones that the load balancer itself answered 4xx, as over a limit. Of
    `unknown` ones nobody saw the end, since a worker of the load balancer died. `by_chunks` were
    streams that reported no usage: completion tokens are their chunks, prompt tokens are unknown and counted as 0.
    Times to first token are of each deployment's newest 5,000 requests. A running controller adds to the ledger about
    once a second.
    """
    from ..processes import SystemClock
    from ..store import Ledger
    from ..store.ledger import FILE_NAME, Selection
    from .ledger_export import check_format, export_rows
    from .ledger_view import selection_of, show_all, show_migration, show_tenant
    from .stored import stored_state

    folder = named_state_dir(file, state)
    durable = stored_state(folder).durable
    if export is not None:
        check_format(export)
        check_writable(export)
    if not (folder / FILE_NAME).exists():
        raise UserError(f"{folder}: nothing was served from this state folder yet; start with `fs serve`")
    with closing(Ledger(folder, read_only=True)) as opened:
        migration = _find(name, durable, opened) if name else None
        _check_deployment(deployment, durable, opened)
        if migration is not None and since is not None:
            raise UserError(f"--since: {name} is a migration, whose steps say since when; leave it out")
        if migration is not None:
            selection = selection_of(migration, deployment)
            shown = show_migration(migration, durable, opened, deployment)
        else:
            since_s = SystemClock().now() - since if since is not None else 0.0
            selection = Selection(name, deployment, since_s=since_s)
            shown = show_tenant(opened, selection) if name else show_all(opened, selection)
        if export is not None:
            written = export_rows(opened.rows(selection), export)
            click.echo(f"Wrote {written:,} requests to {export}.", err=True)
    return shown


def _find(name: str, durable: "Durable", ledger: "Ledger") -> "Migration | None":
    """The migration of that id; None for a tenant's name, a removed one's too. Raises `UserError` for neither."""
    from ..controller.tenancy import tenants

    known = {*(tenant.name for tenant in tenants(durable)), *ledger.tenants()}
    if name in known:
        return None
    if name in durable.migrations:
        return durable.migrations[name]
    raise UserError(f"{name}: no tenant or migration of this name{_hint(name, {*known, *durable.migrations}, LISTED)}")


def _check_deployment(name: str | None, durable: "Durable", ledger: "Ledger") -> None:
    """One that the stack no longer has may still be in the ledger. Raises `UserError`."""
    known = {deployment.name for deployment in durable.stack.deployments} if durable.stack else set()
    if name is not None and name not in known:
        known |= {one.deployment for one in ledger.totals()} - {""}
        if name not in known:
            raise UserError(f"--deployment: no deployment named {name}{_hint(name, known)}")


def _hint(name: str, known: Iterable[str], elsewhere: str = "") -> str:
    """`elsewhere`: where to look if there are too many to name."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; there are {', '.join(names)}" if 0 < len(names) <= MOST_NAMES else elsewhere
