"""`fs audit`: who changed what, from what to what, and when."""

from pathlib import Path

import click

from .options import file_option, named_state_dir, state_option
from .output import rendered
from .tenant_list import clock_time

SHOWN = 50


@click.command(short_help="Who changed what, from what to what, and when")
@click.option("--subject", metavar="TEXT", default="", help="Only what was done to these: `tenant acme`, `chat`.")
@click.option(
    "--last", type=click.IntRange(min=1), default=SHOWN, show_default=True, metavar="N", help="The newest so many."
)
@file_option
@state_option
@rendered
def audit(subject: str, last: int, file: Path, state: Path | None) -> object:
    """Show changes of keys, tenants, weights, policies, migrations and breakers, the newest last.

    What is in the audit can't be changed or deleted. Of a key it shows a few digits of its hash.
    """
    from ..store import Store
    from .stored import stored_state

    folder = named_state_dir(file, state)
    stored_state(folder)
    store = Store(folder, read_only=True)
    try:
        entries = store.audit(last=last, subject=subject)
    finally:
        store.close()
    return [
        {
            "at": clock_time(one.at_s),
            "by": one.by,
            "action": one.action,
            "subject": one.subject,
            "before": one.before,
            "after": one.after,
        }
        for one in entries
    ]
