"""`fs down`: let streams end, then remove everything that the stack runs, here and elsewhere."""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from .options import file_option, named_state_dir, say_nothing, state_option


@click.command(short_help="Drain, then remove everything that the stack runs")
@file_option
@state_option
@click.option(
    "--keep", multiple=True, metavar="BACKEND", help="Leave alone what runs there, as in a cluster that is lost."
)
def down(file: Path, state: Path | None, keep: tuple[str, ...]) -> None:
    """Let open streams end, then remove everything that the stack runs, on remote backends too.

    Keys, events and the ledger stay. Interrupted, it goes on where it was when it is called again.
    """
    from ..controller.client import Client
    from ..controller.facts import StopAsked
    from .intents import who

    folder = named_state_dir(file, state)
    if not folder.exists():
        click.echo("Nothing runs: no stack was served here yet.")
        return
    kept = _kept(folder, keep)
    if Client(folder).intend(StopAsked(keep=kept, by=who())):
        click.echo("Draining open streams …")
        _wait_for_lease(folder)
        _take_down(folder, kept, say_nothing)  # nothing is left to do, unless it was killed half-way
    else:
        _take_down(folder, kept, click.echo)
    click.echo("Down.")


def _kept(folder: Path, names: tuple[str, ...]) -> frozenset[str]:
    """Raises `UserError` for a backend that the stack does not have: what is meant would be removed."""
    from ..errors import UserError
    from .stored import stored_state

    if not names:
        return frozenset()
    durable = stored_state(folder).durable
    known = {*(durable.stack.backends if durable.stack else ()), *durable.retired}
    for name in names:
        if name not in known:
            has = ", ".join(sorted(known)) or "none"
            raise UserError(f"--keep {name}: the stack has no such backend; it has {has}")
    return frozenset(names)


def _wait_for_lease(folder: Path) -> None:
    """A controller has ended when its lease is free: no sooner, and also where it was killed."""
    from ..store import Lease, LeaseTaken

    while True:
        try:
            with Lease(folder):
                return
        except LeaseTaken:
            time.sleep(0.1)


def _take_down(folder: Path, kept: frozenset[str], say: Callable[[str], None]) -> None:
    """No controller runs: this process is one for as long as it takes."""
    import anyio

    from ..controller.facts import StopAsked
    from ..controller.session import hold, run_controller
    from ..host import Host
    from ..processes import SystemClock
    from .intents import who
    from .log_lines import event_line

    stop = StopAsked(keep=kept, by=who())
    with hold(folder) as held:
        run = partial(run_controller, held, Host(), (stop,), SystemClock(), say=say, on_ready=lambda: None)
        failed = anyio.run(partial(run, tell_of=lambda event: say(event_line(event))))
    if failed is not None:
        click.echo(f"fs: {failed}", err=True)
        sys.exit(1)
