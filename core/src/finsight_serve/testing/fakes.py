"""A clock that only moves when told, and processes that are only remembered. For unit tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel

from ..env import Outcome, ProcessId


class FakeClock:
    """`await clock.advance(s)` wakes the sleepers that are due, each at its own time."""

    def __init__(self, now_s: float = 1_000_000.0) -> None:
        self._now_s = now_s
        self._sleepers: list[tuple[float, anyio.Event]] = []

    def now(self) -> float:
        return self._now_s

    async def sleep(self, delay_s: float) -> None:
        if delay_s <= 0:
            await anyio.lowlevel.checkpoint()
            return
        sleeper = (self._now_s + delay_s, anyio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, delay_s: float) -> None:
        """Moves on by `delay_s`; whoever wakes on the way may sleep again and wake again."""
        end_s = self._now_s + delay_s
        await anyio.wait_all_tasks_blocked()
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= end_s and not sleeper[1].is_set()]:
            at_s, event = min(due, key=lambda sleeper: sleeper[0])
            self._now_s = max(self._now_s, at_s)
            event.set()
            await anyio.wait_all_tasks_blocked()
        self._now_s = end_s


@dataclass(frozen=True)
class Started:
    process: ProcessId
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path


@dataclass
class FakeProcesses:
    """Nothing runs: `started` remembers what would, `answer` says how `run()` ends, `end()` lets one die."""

    answer: Callable[[Sequence[str]], Outcome] = lambda argv: Outcome(0, "", "")
    started: list[Started] = field(default_factory=list)
    ran: list[tuple[str, ...]] = field(default_factory=list)
    stopped: list[ProcessId] = field(default_factory=list)
    _alive: set[ProcessId] = field(default_factory=set)

    async def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 60.0
    ) -> Outcome:
        await anyio.lowlevel.checkpoint()
        self.ran.append(tuple(argv))
        return self.answer(argv)

    def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path) -> ProcessId:
        process = ProcessId(pid=len(self.started) + 1, started_s=0.0)
        self.started.append(Started(process, tuple(argv), dict(env or {}), log))
        self._alive.add(process)
        return process

    def alive(self, process: ProcessId) -> bool:
        return process in self._alive

    async def stop(self, process: ProcessId, *, grace_s: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.stopped.append(process)
        self.end(process)

    def end(self, process: ProcessId) -> None:
        self._alive.discard(process)
