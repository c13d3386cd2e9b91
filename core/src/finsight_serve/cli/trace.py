"""`fs trace`: recorded load, for the policy lab."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from .options import file_option, named_state_dir, state_option

if TYPE_CHECKING:
    from ..store.ledger import Arrival

FINER = 2.0**-22
"""Share of a time by which another differs for certain once both are read as 32-bit numbers."""
HEADER = ("arrival_s", "tenant", "service_s")


@click.group(short_help="Record load for `fs simulate`")
def trace() -> None:
    """Traces are CSV files of arrivals: when, whose, how long. They hold no prompt and no answer."""


@trace.command(short_help="Write the requests that a stack served as a trace")
@file_option
@state_option
@click.option("--deployment", metavar="NAME", help="Only the requests of this one.")
@click.option("--since-s", type=float, default=0.0, metavar="EPOCH", help="Only from then on, UTC epoch seconds.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it; must not exist. [default: stdout]",
)
def record(file: Path, state: Path | None, deployment: str | None, since_s: float, save: Path | None) -> None:
    """Read the ledger that the load balancer's log fills, running or not, and write `arrival_s,tenant,service_s`.

    `service_s` is from the request's arrival to the last byte, so it holds what it waited in the engine, too. Requests
    that failed, or of which nobody knows how long they took, are left out and counted.
    """
    from ..errors import UserError
    from ..store import Ledger
    from ..store.ledger import FILE_NAME

    folder = named_state_dir(file, state)
    if not (folder / FILE_NAME).exists():
        raise UserError(f"{folder}: nothing was served from this state folder yet; start with `fs serve`")
    ledger = Ledger(folder, read_only=True)
    try:
        rows = ledger.arrivals(deployment=deployment, since_s=since_s)
        if save is None:
            written = _write(rows, sys.stdout)
        else:
            if save.exists():
                raise UserError(f"{save}: is there already; give another --save")
            with save.open("x", newline="", encoding="utf-8") as out:
                written = _write(rows, out)
    finally:
        ledger.close()
    left_out = f", {written.left_out:,} left out" if written.left_out else ""
    click.echo(f"{written.rows:,} requests{left_out}", err=True)


class _Written:
    rows = 0
    left_out = 0


def _write(rows: "Iterator[Arrival]", out: TextIO) -> _Written:
    writer, counts = csv.writer(out, lineterminator="\n"), _Written()
    writer.writerow(HEADER)
    moment, written = "", set[tuple[str, str, str]]()
    for row in rows:
        if row.duration_s is None or row.outcome == "failed":
            counts.left_out += 1
            continue
        at = f"{row.started_s:.6f}"
        if at != moment:
            moment, written = at, set()
        duration_s = row.duration_s
        # two of one moment stay two: a trace with a row twice is refused
        while (line := (at, row.tenant, f"{duration_s:.6f}")) in written:
            duration_s += max(1e-6, duration_s * FINER)
        written.add(line)
        writer.writerow(line)
        counts.rows += 1
    return counts
