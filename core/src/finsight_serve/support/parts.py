"""Parts of a bundle, each looked at in a thread of its own: one that hangs or raises costs its own findings only."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from ..errors import UserError, one_line
from .known import Known

DEADLINE_S = 20.0
SAID_AFTER_S = 2.0


@dataclass(frozen=True)
class Text:
    path: str  # in the bundle
    text: str
    note: str = ""  # what of it is left out


@dataclass(frozen=True)
class Value:
    """JSON, or what becomes it."""

    path: str
    value: Any
    note: str = ""


@dataclass(frozen=True)
class Missing:
    what: str
    why: str
    hangs: bool = False  # its thread still runs


Found = Text | Value | Missing | Known


@dataclass(frozen=True)
class Part:
    name: str
    collect: Callable[[], Iterable[Found]]
    deadline_s: float = DEADLINE_S


class _Ended:
    pass


def look(parts: Iterable[Part], say: Callable[[str], None]) -> Iterator[Found]:
    """What the parts find, one after the other; what a part had found before its deadline counts.

    `say` hears of each that takes more than 2 s. A thread that hangs can't be ended and goes on behind.
    """
    for part in parts:
        yield from _look_at(part, say)


def _look_at(part: Part, say: Callable[[str], None]) -> Iterator[Found]:
    findings: SimpleQueue[Found | _Ended] = SimpleQueue()
    Thread(target=_work, args=(part, findings), name=part.name, daemon=True).start()
    began_s, is_said = time.monotonic(), False
    while True:
        late_s = time.monotonic() - began_s
        if late_s >= part.deadline_s:
            yield Missing(part.name, f"no end within {part.deadline_s:g} s", hangs=True)
            return
        wait_s = part.deadline_s - late_s if is_said else min(max(SAID_AFTER_S - late_s, 0.0), part.deadline_s - late_s)
        try:
            found = findings.get(timeout=wait_s)
        except Empty:
            if not is_said and time.monotonic() - began_s >= SAID_AFTER_S:
                say(f"{part.name}: at most {part.deadline_s:g} s")
                is_said = True
            continue
        if isinstance(found, _Ended):
            return
        yield found


def _work(part: Part, findings: "SimpleQueue[Found | _Ended]") -> None:
    try:
        for found in part.collect():
            findings.put(found)
    except BaseException as error:  # a plugin may raise anything, SystemExit too
        findings.put(Missing(part.name, str(error) if isinstance(error, UserError) else one_line(error)))
    findings.put(_Ended())
