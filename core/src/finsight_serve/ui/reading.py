"""One look at a stack: its running controller, its stored state, its ledger. What can't be read is a line instead."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from ..controller.measuring import StepFigures, steps_of
from ..controller.memory import recall
from ..controller.migrating import running_migrations
from ..controller.migration_plan import in_order
from ..controller.state import Durable, State
from ..controller.status import Status, describe
from ..domain import Event
from ..domain.migration import OVER, Migration
from ..env import Clock
from ..errors import UserError
from ..store import Ledger, Store, Totals
from ..store.ledger import Hour
from ..store.store import EVENTS_KEPT, FILE_NAME
from .day import span_of_day

EVENTS_SHOWN = 50
MOST_MIGRATIONS, MOST_OVER = 20, 3
"""Shown at a time; of those that are over, so many of the last."""
HISTORY_PERIOD_S = 30.0
"""How often all events are read again, for the replicas of the day."""
ANOTHER_VERSION = "the running controller is of another version than this page; start `fs ui` of the same version"


class Asked(Protocol):
    """The running controller."""

    def status(self) -> Status | None: ...


@dataclass(frozen=True)
class Reading:
    """`status` None: not even what was stored can be read. `troubles`: why something could not be had."""

    now_s: float
    status: Status | None = None
    is_live: bool = False  # the status is a running controller's
    is_absent: bool = False  # no controller runs; neither: one runs and can't be understood
    seen_s: float = 0.0  # until when replicas are known: now, or when the last controller stored something
    durable: Durable = field(default_factory=Durable)
    migrations: tuple[Migration, ...] = ()  # shown, newest first
    more_migrations: int = 0  # that run and are not shown
    steps: Mapping[str, tuple[StepFigures, ...]] = field(default_factory=dict)  # of those shown, by id
    hours: tuple[Hour, ...] = ()
    history: tuple[Event, ...] = ()  # what replicas did, and when controllers started
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Counted:
    totals: tuple[Totals, ...] = ()
    hours: tuple[Hour, ...] = ()
    steps: Mapping[str, tuple[StepFigures, ...]] = field(default_factory=dict)


class Reader:
    """Opens the files anew at each look, so that a state that was put back is seen. For one thread at a time."""

    def __init__(self, folder: Path, controller: Asked, clock: Clock) -> None:
        self._folder, self._controller, self._clock = folder, controller, clock
        self._history: tuple[Event, ...] = ()
        self._history_s = float("-inf")

    def look(self) -> Reading:
        now_s, troubles = self._clock.now(), list[str]()
        live = self._ask(troubles)
        absent = live is None and not troubles
        state, events = self._stored(now_s, troubles)
        shown, more = chosen_migrations(state.durable)
        counted = self._counted(now_s, shown, troubles)
        status = live or (_left_behind(state, counted.totals, events) if state.durable.stack else None)
        return Reading(
            now_s,
            status,
            live is not None,
            absent,
            now_s if live else state.now_s,
            state.durable,
            shown,
            more,
            counted.steps,
            counted.hours,
            self._history,
            tuple(dict.fromkeys(troubles)),
        )

    def _ask(self, troubles: list[str]) -> Status | None:
        try:
            return self._controller.status()
        except ValidationError:
            troubles.append(ANOTHER_VERSION)
        except UserError as error:
            troubles.append(str(error))
        return None

    def _stored(self, now_s: float, troubles: list[str]) -> tuple[State, tuple[Event, ...]]:
        if not (self._folder / FILE_NAME).exists():
            troubles.append(f"{self._folder}: nothing was served from this state folder yet; start with `fs serve`")
            return State(), ()
        try:
            with closing(Store(self._folder, read_only=True)) as store:
                if not 0 <= now_s - self._history_s < HISTORY_PERIOD_S:
                    self._history, self._history_s = history_of(store.events(last=EVENTS_KEPT)), now_s
                return recall(store), store.events(last=EVENTS_SHOWN)
        except UserError as error:
            troubles.append(str(error))
            return State(), ()

    def _counted(self, now_s: float, shown: Sequence[Migration], troubles: list[str]) -> _Counted:
        if not (self._folder / FILE_NAME).exists():
            return _Counted()
        try:
            with closing(Ledger(self._folder, read_only=True)) as ledger:
                steps = {one.id: steps_of(one, ledger) for one in shown}
                return _Counted(ledger.totals(), ledger.hours(span_of_day(now_s)[0]), steps)
        except UserError as error:
            troubles.append(str(error))
            return _Counted()


def chosen_migrations(durable: Durable) -> tuple[tuple[Migration, ...], int]:
    """Newest first: those that run, then the last that are over; and how many more run. Pure."""
    running = in_order(running_migrations(durable))[::-1]
    over = sorted((m for m in durable.migrations.values() if m.phase in OVER), key=lambda m: m.since_s)[::-1]
    return (*running[:MOST_MIGRATIONS], *over[:MOST_OVER]), max(0, len(running) - MOST_MIGRATIONS)


def history_of(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(one for one in events if one.kind.startswith("replica_") or one.kind == "stack_chosen")


def _left_behind(state: State, totals: tuple[Totals, ...], events: tuple[Event, ...]) -> Status:
    return describe(state, controller="not running", url="", ledger=totals, events=events, ceilings={})
