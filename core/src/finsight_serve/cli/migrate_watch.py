"""Migrations watched until they are over: a line for each change, and on a terminal one that moves."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from .migrate_view import NO_CONTROLLER, balancer_lacks, describe_phase, in_brief, opened_ledger, result, row

if TYPE_CHECKING:
    from ..domain.migration import Migration
    from ..plugin import Feature
    from ..store import Ledger

POLL_S = 0.5
SETTLED_S = 3.0
"""The ledger is a second or two behind: what it says of a migration that is over is waited for."""
MOST_MOVING = 3
"""Migrations that one line has room for."""
CLEAR_LINE = "\r\033[K"


class Screen:
    """Lines that stay; on a terminal, below them one that is written over."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._to_stderr = to_stderr
        self._moves = (sys.stderr if to_stderr else sys.stdout).isatty()
        self._told: dict[str, str] = {}

    def say(self, line: str) -> None:
        clear = CLEAR_LINE if self._moves else ""
        click.echo(f"{clear}{datetime.now():%H:%M:%S}  {line}", err=self._to_stderr)

    def tell(self, key: str, change: str, line: Callable[[], str]) -> None:
        """`line`, unless the last `change` with this key was the same."""
        if self._told.get(key) != change:
            self._told[key] = change
            self.say(line())

    def move(self, line: Callable[[], str]) -> None:
        if self._moves:
            from shutil import get_terminal_size

            click.echo(CLEAR_LINE + line()[: get_terminal_size().columns - 1], nl=False, err=self._to_stderr)


def watch(folder: Path, ids: Sequence[str], output: str) -> NoReturn:
    """Ends the command: exit code 0 if all are done, 1 if one was rolled back or failed, 130 after Ctrl-C.

    Where `output` is json the lines go to stderr, and what came of each follows as rows.
    """
    from .stored import stored_stack

    lacks = balancer_lacks(stored_stack(folder))
    with opened_ledger(folder) as ledger:
        try:
            over = _follow(folder, ids, Watched(ledger, lacks), Screen(to_stderr=output == "json"))
        except KeyboardInterrupt:
            again = f"`fs migrate status {ids[0]} --watch` watches it, `fs migrate rollback {ids[0]}` takes it back"
            click.echo(f"\nNo longer watched; the migration goes on: {again}.", err=True)
            sys.exit(130)
        if output == "json":
            from .output import render

            click.echo(render([{**row(one, ledger), "result": result(one, ledger, lacks)} for one in over], output))
    click.get_current_context().exit(0 if all(migration.phase == "done" for migration in over) else 1)


@dataclass(frozen=True)
class Watched:
    """What lines are made of, beside the migration itself."""

    ledger: "Ledger"
    lacks: "Mapping[Feature, str]"

    def line(self, migration: "Migration") -> str:
        from ..domain.migration import OVER

        if migration.phase in OVER:
            return f"{migration.id}  {'; '.join(result(migration, self.ledger, self.lacks))}"
        seen = in_brief(migration, self.ledger) if migration.records else ""
        parts = (f"{migration.tenant} to {migration.destination}", describe_phase(migration), seen, migration.reason)
        return f"{migration.id}  {'; '.join(part for part in parts if part)}"

    def short_line(self, migrations: "Sequence[Migration]") -> str:
        shown = migrations[:MOST_MOVING]
        texts = [f"{one.id} {describe_phase(one)}, {in_brief(one, self.ledger)}" for one in shown]
        more = len(migrations) - len(shown)
        return " · ".join([*texts, *([f"{more} more"] if more else [])])


class Unsettled:
    """Migrations that ended just now, of which the ledger may not know everything yet."""

    def __init__(self) -> None:
        self._seen_s: dict[str, float] = {}

    def holds(self, migration: "Migration") -> bool:
        """By both clocks: one long over is not waited for, nor is a clock that was set back."""
        from ..domain.migration import OVER

        if migration.phase not in OVER or time.time() >= migration.since_s + SETTLED_S:
            return False
        return time.monotonic() < self._seen_s.setdefault(migration.id, time.monotonic()) + SETTLED_S


def _follow(folder: Path, ids: Sequence[str], watched: Watched, screen: Screen) -> "Sequence[Migration]":
    from ..controller.client import Client
    from ..domain.migration import OVER

    client, known, unsettled = Client(folder), dict[str, "Migration"](), Unsettled()
    while True:
        known = _read(folder, ids, known)
        settling = {migration.id: migration for migration in known.values() if unsettled.holds(migration)}
        for migration in known.values():
            if migration.id not in settling:
                change = f"{describe_phase(migration)} {migration.reason}"
                screen.tell(migration.id, change, partial(watched.line, migration))
        running = [*(one for one in known.values() if one.phase not in OVER), *settling.values()]
        if not running:
            return list(known.values())
        is_there = client.is_ready() or client.status() is not None
        screen.tell("controller", str(is_there), partial(_whether, is_there))
        screen.move(partial(watched.short_line, running))
        time.sleep(POLL_S)


def _read(folder: Path, ids: Sequence[str], known: "Mapping[str, Migration]") -> "dict[str, Migration]":
    """As stored now. Raises `UserError` where one has been over for so long that it is no longer listed."""
    from ..domain.migration import OVER
    from ..errors import UserError
    from .stored import stored_state

    stored = stored_state(folder).durable.migrations
    found = {id: stored.get(id) or known.get(id) for id in ids}
    for id, migration in found.items():
        if migration is None or (id not in stored and migration.phase not in OVER):
            raise UserError(f"migration {id}: is over and no longer listed; `fs audit` has it")
    return {id: migration for id, migration in found.items() if migration is not None}


def _whether(is_there: bool) -> str:
    if is_there:
        return "the controller is at work"
    return f"{NO_CONTROLLER} and goes on from where it is; until then the weights stay as they are"
