"""`fs logs`: what the controller and everything that it started have written."""

import time
from collections.abc import Iterator
from pathlib import Path

import click

from .options import file_option, named_state_dir, state_option

POLL_S = 0.5
LINES = 50


@click.command(short_help="Logs of the controller, the load balancer and the replicas")
@click.argument("name", required=False)
@file_option
@state_option
@click.option("--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("--lines", default=LINES, show_default=True, type=click.IntRange(0), help="How many of each log's last.")
def logs(name: str | None, file: Path, state: Path | None, follow: bool, lines: int) -> None:
    """Show the logs whose path holds NAME (all without it), each line behind its log's name."""
    from ..errors import UserError

    folder = named_state_dir(file, state)
    found = dict(_find(folder, name))
    if not found:
        raise UserError(f"{folder}: no log is named {name}" if name else f"{folder}: there are no logs yet")
    ends = {label: _show_last(label, path, lines) for label, path in found.items()}
    while follow:
        time.sleep(POLL_S)
        for label, path in _find(folder, name):
            ends[label] = _show_from(label, path, ends.get(label, 0))


def _find(folder: Path, name: str | None) -> Iterator[tuple[str, Path]]:
    """(label, path) of every *.log below a folder `logs`; logs that were put there by a link count."""
    from ..support.logs import Log, find_logs

    for log in find_logs(folder):
        if isinstance(log, Log) and log.path.suffix == ".log":
            label = log.label.removesuffix(".log").replace("logs/", "")
            if name is None or name in label:
                yield label, log.path


def _show_last(label: str, path: Path, lines: int) -> int:
    data = path.read_bytes()
    for line in data.splitlines()[-lines:] if lines else ():
        click.echo(f"{label}: {line.decode(errors='replace')}")
    return len(data)


def _show_from(label: str, path: Path, start: int) -> int:
    """Whole lines only: the rest of a line is shown when it has been written."""
    if path.stat().st_size < start:
        start = 0  # rotated
    with path.open("rb") as log:
        log.seek(start)
        data = log.read()
    whole = data[: data.rfind(b"\n") + 1]
    for line in whole.splitlines():
        click.echo(f"{label}: {line.decode(errors='replace')}")
    return start + len(whole)
