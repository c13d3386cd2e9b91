"""The nginx processes of one state folder, found in the process table and told apart by it.

nginx runs with the state folder as its working directory. That is its recorded identity: it outlives this process,
needs no file that may be stale, and also names the workers whose master was killed.
"""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from finsight_serve.env import ProcessId

WORKER = "nginx: worker process"


@dataclass(frozen=True)
class Family:
    master: ProcessId | None
    members: tuple[ProcessId, ...] = ()  # master and workers, the draining ones and orphans among them

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(member.pid for member in self.members)


def find(state_dir: Path) -> Family:
    folder = state_dir.resolve()
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if "nginx" not in process.name() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if Path(process.cwd()) == folder:
                found[process.pid] = process
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    members = {pid: identity for pid, process in found.items() if (identity := _identity(process))}
    # The title tells orphaned workers from a master; parentage, a worker so young that it still has its master's title.
    masters = [
        identity
        for pid, identity in members.items()
        if not _title(pid).startswith(WORKER) and _parent(found[pid]) not in members
    ]
    return Family(max(masters, key=lambda one: one.started_s, default=None), tuple(members.values()))


def started_s(pid: int) -> float | None:
    """When the process started; None if there is none, or only its remains."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def accepting(pids: Iterable[int]) -> frozenset[int]:
    """Those of the workers that were not told to shut down."""
    titles = {pid: _title(pid) for pid in pids}
    return frozenset(pid for pid, title in titles.items() if title.startswith(WORKER) and "shutting" not in title)


def tell(process: ProcessId, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, what)


def listeners(port: int) -> frozenset[int]:
    """Pids of who listens on the TCP port; 0 stands for a process that this user may not see."""
    try:
        return frozenset(
            connection.pid or 0
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        )
    except psutil.Error:  # macOS shows the sockets of all only to root
        return frozenset()


def describe(pid: int) -> str:
    """For people: "NAME (pid N)"."""
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "a process of another user"
    except psutil.Error:
        return f"a process that has just ended (pid {pid})"


def _identity(process: psutil.Process) -> ProcessId | None:
    try:
        return ProcessId(process.pid, process.create_time())
    except psutil.Error:
        return None


def _title(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.Error:
        return 0
