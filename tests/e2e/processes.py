"""Which processes belong to a stand, found without asking the software under test."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "FS_E2E_STAND"
"""In the environment of every `fs` that a stand runs, and so of whatever that starts: the stand's folder."""


class Family:
    """Processes that name the stand's folder in their command, environment or working directory, and whoever is in
    a session with one of them: a process may overwrite its own title and environment, but not leave its session unseen.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._sessions: set[int] = set()

    def members(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and self._owns(process):
                    found.append(process)
        return found

    def _owns(self, process: psutil.Process) -> bool:
        session = os.getsid(process.pid)
        if session in self._sessions:
            return True
        if not self._names_the_folder(process):
            return False
        if session != os.getsid(0):
            self._sessions.add(session)
        return True

    def _names_the_folder(self, process: psutil.Process) -> bool:
        named = [*process.cmdline(), process.cwd(), process.environ().get(MARK, "")]
        return any(self._folder in text for text in named)


def describe(processes: Iterable[psutil.Process]) -> list[str]:
    lines = []
    for process in processes:
        with suppress(psutil.Error):
            lines.append(f"{process.pid}: {' '.join(process.cmdline())[:160] or process.name()}")
    return lines


def kill(processes: Iterable[psutil.Process]) -> None:
    processes = list(processes)
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def listener(port: int) -> psutil.Process:
    """Who listens on the TCP port of loopback."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise AssertionError(f"nobody listens on {port}")


def open_connections(pid: int, port: int) -> int:
    """Established connections that clients have with the process at its `port`."""
    return sum(
        connection.pid == pid and connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
        for connection in psutil.net_connections("tcp")
    )
