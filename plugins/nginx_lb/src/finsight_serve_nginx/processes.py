"""nginx's processes as the plugin looks at them and tells them what to do: here, or where a keeper runs them."""

import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from finsight_serve.env import Processes as Runner
from finsight_serve.env import ProcessId

from . import family
from .family import Family


class Processes(Protocol):
    """Raises `OSError` where nothing can be learnt about them, which is not the same as that there are none."""

    def find(self) -> Family: ...

    def alive(self, process: ProcessId) -> bool: ...

    def started_s(self, pid: int) -> float | None:
        """When the process started; None if there is none, or only its remains."""
        ...

    def accepting(self, pids: Iterable[int]) -> frozenset[int]:
        """Those of the workers that were not told to shut down."""
        ...

    def listeners(self, port: int) -> frozenset[int]:
        """Pids of who listens on the TCP port."""
        ...

    def tell(self, process: ProcessId, what: signal.Signals) -> None: ...


class Here:
    """In this process's own table."""

    def __init__(self, state_dir: Path, runner: Runner) -> None:
        self._state_dir, self._runner = state_dir, runner
        self.started_s, self.accepting = family.started_s, family.accepting
        self.listeners, self.tell = family.listeners, family.tell

    def find(self) -> Family:
        return family.find(self._state_dir)

    def alive(self, process: ProcessId) -> bool:
        return self._runner.alive(process)  # reaps our own child
