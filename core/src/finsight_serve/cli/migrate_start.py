"""`fs migrate TENANT… --to X`: shows a plan, asks, sends it to the controller and watches until it is over."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .migrate import MIGRATE_COMMANDS
from .options import confirm, duration, file_option, named_state_dir, percent, state_option
from .output import chosen_output, render, rendered

if TYPE_CHECKING:
    from ..domain.migration import Migration, MigrationRules
    from ..host import Host
    from .migrate_preview import Asked

DEFAULT_LIMITS = ("error_rate<=0.1%", "ttft_p95<=1.5x")
MOST_TRIES = 3
"""Two who ask at the same instant plan the same numbers; the second to arrive plans again."""


def percents(text: str) -> tuple[int, ...]:
    """Whether they make sense as steps is for the plan to say."""
    try:
        return tuple(int(part.strip().removesuffix("%")) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"must be percentages as 1,10,50,100, found {text}") from None


@click.command("start", short_help=MIGRATE_COMMANDS["start"])
@click.argument("tenants", nargs=-1, metavar="TENANT...")
@click.option("--to", metavar="BACKEND|DEPLOYMENT", help="Where to; of a backend, its deployment of the same model.")
@click.option("--from", "source", metavar="DEPLOYMENT", help="Every tenant with a share there, in place of TENANT...")
@click.option("--steps", type=percents, metavar="P,P,…,100", help="Percent; default: by how often the tenant asks.")
@click.option("--hold", type=duration, default="60s", show_default=True, help="A step lasts so long at least.")
@click.option(
    "--limit", "limits", multiple=True, metavar="LIMIT", default=DEFAULT_LIMITS, show_default=True,
    help="Over it, it rolls back; 1.5x is of the source's. May be repeated; given, these two no longer hold.",
)  # fmt: skip
@click.option(
    "--min-requests", type=click.IntRange(min=0), metavar="N", default=20, show_default=True,
    help="A step counts as proved after so many at the destination; 0 for a tenant that asks nothing.",
)  # fmt: skip
@click.option("--shadow", type=percent, default="0%", help="Compare copies of this share of the requests first.")
@click.option("--wave", type=click.IntRange(min=1), metavar="N", help="Move so many tenants at a time; default: all.")
@click.option("--prepare-deadline", type=duration, default="15m", show_default=True, help="Then it gives up.")
@click.option("--step-deadline", type=duration, default="6h", show_default=True, help="Then it rolls back.")
@click.option(
    "--drain-deadline", type=duration, default="15m", show_default=True, help="For open streams; then unproven."
)
@click.option("--dry-run", is_flag=True, help="Show the plan only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Return once it has begun.")
@file_option
@state_option
@rendered
def migrate_start(
    tenants: tuple[str, ...],
    to: str | None,
    source: str | None,
    steps: tuple[int, ...] | None,
    wave: int | None,
    file: Path,
    state: Path | None,
    dry_run: bool,
    yes: bool,
    detach: bool,
    **rules: Any,
) -> object:
    """Move TENANT... to another deployment, wherever it runs, and watch until it is over.

    Shows a plan, asks, then moves a share of the requests at a time. Exit code 0: done; 1: rolled back or failed.
    """
    from ..controller.client import Client
    from ..host import Host
    from .intents import who
    from .migrate_preview import Asked, make_plan, plan_sections
    from .migrate_view import NO_CONTROLLER

    asked = Asked(tenants, source, _destination(to, tenants), read_rules(**rules), steps, wave, who())
    folder, host = named_state_dir(file, state), Host()
    planned = make_plan(asked, folder, host)
    output = chosen_output()
    if dry_run:
        return plan_sections(planned, asked, folder, host)
    if Client(folder).status() is None:
        raise UserError(f"{folder}: {NO_CONTROLLER}")
    if output == "table":
        click.echo(render(plan_sections(planned, asked, folder, host), output) + "\n")
    if not yes:
        _ask(planned.migrations, asked)
    return _begin(_send(asked, folder, host, planned.migrations), folder, output, detach)


def _destination(to: str | None, tenants: Sequence[str]) -> str:
    if to:
        return to
    near = get_close_matches(tenants[0], MIGRATE_COMMANDS, n=1) if tenants else []
    hint = f"; or did you mean `fs migrate {near[0]}`?" if near else ""
    raise click.UsageError(f"say where to: --to BACKEND|DEPLOYMENT{hint}")


def read_rules(
    hold: float,
    limits: Sequence[str],
    min_requests: int,
    shadow: int,
    prepare_deadline: float,
    step_deadline: float,
    drain_deadline: float,
) -> "MigrationRules":
    """Raises `UserError`. The steps are the default ones."""
    from ..domain.limit import parse_limit
    from ..domain.migration import MigrationRules

    try:
        parsed = tuple(map(parse_limit, limits))
    except ValueError as error:
        raise UserError(f"--limit: {error}") from error
    return MigrationRules(
        hold_s=hold,
        min_requests=min_requests,
        limits=parsed,
        shadow_percent=shadow,
        prepare_deadline_s=prepare_deadline,
        step_deadline_s=step_deadline,
        drain_deadline_s=drain_deadline,
    )


def _ask(migrations: "Sequence[Migration]", asked: "Asked") -> None:
    who = [*asked.tenants, *(["--from", asked.source] if asked.source else [])]
    what = f"{len(migrations)} tenants" if len(migrations) > 1 else f"tenant {migrations[0].tenant}"
    confirm(f"Migrate {what}?", f"`fs migrate {' '.join(who)} --to {asked.to} --yes` begins")


def _send(asked: "Asked", folder: Path, host: "Host", migrations: "Sequence[Migration]") -> list[str]:
    """The ids under which they were taken. Raises `UserError` if the controller refuses."""
    from ..controller.client import Client, Unanswered
    from ..controller.facts import MigrationsAsked
    from .migrate_preview import make_plan
    from .stored import stored_state

    for tries_left in reversed(range(MOST_TRIES)):
        try:
            if Client(folder).intend(MigrationsAsked(tuple(migrations), asked.by)):
                return [migration.id for migration in migrations]
            raise UserError("the controller ended meanwhile; `fs migrate list` shows whether it was taken")
        except Unanswered:
            raise  # it may have been taken: planning again would say that the tenant is moving already
        except UserError:
            taken = stored_state(folder).durable.migrations
            if not tries_left or not any(migration.id in taken for migration in migrations):
                raise
        migrations = make_plan(asked, folder, host).migrations
    raise AssertionError("the last try returns or raises")


def _begin(ids: Sequence[str], folder: Path, output: str, detach: bool) -> object:
    """Ends the command unless detached."""
    from .migrate_watch import watch

    if not detach:
        watch(folder, ids, output)
    if output == "json":
        return [{"id": id} for id in ids]
    return "\n".join(f"Begun: {id}; `fs migrate status {id} --watch` watches it." for id in ids)
