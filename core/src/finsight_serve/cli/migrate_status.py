"""`fs migrate status`: how far migrations are."""

from pathlib import Path

import click

from .migrate import MIGRATE_COMMANDS
from .options import file_option, named_state_dir, state_option
from .output import Section, Shown, chosen_output, rendered


@click.command("status", short_help=MIGRATE_COMMANDS["status"])
@click.argument("name", metavar="[ID|TENANT]", required=False)
@click.option(
    "--watch", is_flag=True, help="Show changes until it is over; exit code 0: done, 1: rolled back or failed."
)
@file_option
@state_option
@rendered
def migrate_status(name: str | None, watch: bool, file: Path, state: Path | None) -> object:
    """Show the migrations that run, or one with each of its steps. The requests are counted by the ledger."""
    from ..controller.migrating import running_migrations
    from ..controller.migration_plan import find_migration, in_order
    from ..domain.migration import OVER
    from .migrate_view import balancer_lacks, opened_ledger, result, shown_list, shown_row, shown_steps, step_rows
    from .migrate_watch import watch as watch_migrations
    from .stored import stored_stack, stored_state

    folder = named_state_dir(file, state)
    stack = stored_stack(folder)
    durable = stored_state(folder).durable
    chosen = [find_migration(durable, name)] if name else in_order(running_migrations(durable))
    if watch and chosen:
        watch_migrations(folder, [one.id for one in chosen], chosen_output())
    with opened_ledger(folder) as ledger:
        if not name:
            return shown_list(chosen, ledger)
        (one,) = chosen
        sections = [Section("migration", shown_row(one, ledger)), Section("steps", shown_steps(step_rows(one, ledger)))]
        if one.phase in OVER:
            lines = result(one, ledger, balancer_lacks(stack))
            sections.append(Section("result", Shown(lines, "\n".join(lines))))
        return sections
