"""`fs tenant usage`: a month's requests and tokens, for a bill."""

import re
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from .options import check_writable, file_option, state_option
from .output import rendered
from .tenant import TENANT_COMMANDS
from .tenant_intents import served

if TYPE_CHECKING:
    from ..store.ledger import Usage


@click.command("usage", short_help=TENANT_COMMANDS["usage"])
@click.option("--month", metavar="YYYY-MM", help="Which month, in UTC. [default: this one, so far]")
@click.option("--csv", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there instead.")
@file_option
@state_option
@rendered
def tenant_usage(month: str | None, csv: Path | None, file: Path, state: Path | None) -> object:
    """Show what each tenant used of each deployment in a month: requests that began in it, and their tokens.

    Of `requests`, `by_chunks` were streams that reported no usage: completion tokens are their chunks, prompt tokens
    are unknown and counted as 0. Of `uncounted` no tokens are known.
    """
    from ..processes import SystemClock

    name, from_s, until_s = month_of(month, SystemClock().now())
    if csv:
        check_writable(csv)
    folder, _ = served(file, state)
    rows = usage(folder, from_s, until_s)
    if csv is None:
        return rows
    _write(csv, name, rows)
    click.echo(f"Wrote {len(rows)} rows of {name} to {csv}.", err=True)
    return None


def usage(folder: Path, from_s: float, until_s: float) -> "tuple[Usage, ...]":
    from ..store import Ledger

    with closing(Ledger(folder, read_only=True)) as ledger:
        return ledger.usage(from_s, until_s)


def month_of(text: str | None, now_s: float) -> tuple[str, float, float]:
    """The month as YYYY-MM, its start and its end (excluded) in seconds. Raises `UserError`."""
    text = text or f"{datetime.fromtimestamp(now_s, UTC):%Y-%m}"
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text)
    if not found or not 1970 <= int(found[1]) < 9999:
        raise UserError(f"--month: must be a month as 2026-11, found {text}")
    year, month = int(found[1]), int(found[2])
    start = datetime(year, month, 1, tzinfo=UTC)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return text, start.timestamp(), end.timestamp()


def _write(path: Path, month: str, rows: "Sequence[Usage]") -> None:
    """A half-written file never bears the target's name. Raises `UserError`."""
    from csv import DictWriter

    from ..store.ledger import Usage

    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as out:
            table = DictWriter(out, ["month", *(field.name for field in fields(Usage))])
            table.writeheader()
            table.writerows({"month": month, **asdict(row)} for row in rows)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise UserError(f"--csv: {path}: {error.strerror or error}; choose another place") from error
