"""`fs audit`: who changed what, from what to what, and when."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from .options import file_option, named_state_dir, state_option
from .output import Shown, rendered
from .times import clock_time, iso_time

if TYPE_CHECKING:
    from ..domain.audit import AuditEntry

SHOWN = 50
WIDTH, INDENT = 120, 4 * " "


@click.command(short_help="Who changed what, from what to what, and when")
@click.option(
    "--subject", metavar="TEXT", default="", help="Only subjects with these words: `tenant acme`, `M1`, `chat`."
)
@click.option(
    "--last", type=click.IntRange(min=1), default=SHOWN, show_default=True, metavar="N", help="The newest so many."
)
@file_option
@state_option
@rendered
def audit(subject: str, last: int, file: Path, state: Path | None) -> object:
    """Show changes of keys, tenants, weights, policies, migrations and breakers, the newest last.

    Beneath each, from what to what. What is in the audit can't be changed or deleted. Of a key it shows a few digits of
    its hash.
    """
    from ..store import Store
    from .stored import stored_state

    folder = named_state_dir(file, state)
    stored_state(folder)
    with closing(Store(folder, read_only=True)) as store:
        entries = store.audit(last=last, subject=subject)
    return Shown([{"at": iso_time(one.at_s), **_said(one)} for one in entries], _in_words(entries))


def _said(entry: "AuditEntry") -> dict[str, object]:
    said = asdict(entry)
    del said["at_s"]
    return said


def _in_words(entries: "Sequence[AuditEntry]") -> str:
    """Of each a line, and its change beneath it: side by side they would be twice as wide as a terminal."""
    from tabulate import tabulate

    rows = [(clock_time(one.at_s), one.by, one.action, one.subject) for one in entries]
    lines = tabulate(rows, tablefmt="plain", disable_numparse=True).splitlines()
    return "\n".join(text for line, one in zip(lines, entries, strict=True) for text in (line, *_change(one))) or "none"


def _change(entry: "AuditEntry") -> list[str]:
    text = f"{entry.before or '-'} → {entry.after or '-'}"
    return wrap(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False)
