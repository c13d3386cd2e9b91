"""What a plugin is given instead of reaching for the machine itself: clock, processes, HTTP, its own folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import httpx


class Clock(Protocol):
    def now(self) -> float:
        """Unix time in seconds."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """How a process ended. `code` is negative for a signal, 124 where the deadline ended it."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class ProcessId:
    """A process that can be recognised later: a pid alone may be another process by then."""

    pid: int
    started_s: float


class Processes(Protocol):
    """Runs and finds processes. A started one is detached: it outlives the caller and is adopted by its `ProcessId`."""

    async def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 60.0
    ) -> Outcome:
        """Runs to its end. `env` is added to this process's. A missing program is `Outcome(127, "", why)`."""
        ...

    def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path) -> ProcessId:
        """Starts in a session of its own, output appended to `log`. Raises `OSError` if it can't be started."""
        ...

    def alive(self, process: ProcessId) -> bool: ...

    async def stop(self, process: ProcessId, *, grace_s: float) -> None:
        """SIGTERM to the process; once it has ended or `grace_s` has passed, SIGKILL to its whole group."""
        ...


@dataclass(frozen=True)
class Env:
    owner: str  # the store's id: marks, in shared places, what belongs to this stack
    state_dir: Path  # this plugin instance's own folder, mode 0700; logs belong in state_dir / "logs"
    clock: Clock
    processes: Processes
    http: "Callable[[], httpx.AsyncClient]"  # a new client; the caller closes it
    progress: Callable[[str], None]  # one line for people, for anything that takes more than 2 s
