"""The processes of a drill's folder, found without asking what is drilled."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "FS_DRILL"
"""In the environment of all that a drill starts, and so of what that starts: the drill's folder."""
GRACE_S = 10.0


def members(folder: Path) -> list[psutil.Process]:
    """Whoever names the folder in its environment, command or working directory, and whoever shares a session with
    one of them: a process may overwrite its own title and environment."""
    mine = os.getsid(0)
    found: dict[int, psutil.Process] = {}
    sessions: set[int] = set()
    everybody = [process for process in psutil.process_iter() if process.pid != os.getpid()]
    for process in everybody:
        with suppress(psutil.Error, OSError):
            if _names(process, str(folder)):
                found[process.pid] = process
                sessions |= {os.getsid(process.pid)} - {mine}
    for process in everybody:
        with suppress(OSError):
            if os.getsid(process.pid) in sessions:
                found[process.pid] = process
    return [process for process in found.values() if _lives(process)]


def end(processes: Iterable[psutil.Process]) -> None:
    """At once, and each by its own id."""
    processes = list(processes)
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=GRACE_S)


def listeners(port: int) -> list[psutil.Process]:
    """Who listens on the TCP port of this machine; of several that share a socket, one. Empty where nobody does."""
    pids = {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid
    }
    found = []
    for pid in sorted(pids):
        with suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def with_kin(process: psutil.Process) -> list[psutil.Process]:
    """The master first, then its workers: what is detached leads a session of its own, in which they are."""
    with suppress(psutil.Error, OSError):
        leader = psutil.Process(os.getsid(process.pid))
        return [leader, *leader.children(recursive=True)]
    return [process]


def is_running(pid: int) -> bool:
    """Its remains, which a parent has not looked at yet, do not count."""
    with suppress(psutil.Error):
        return _lives(psutil.Process(pid))
    return False


def _names(process: psutil.Process, folder: str) -> bool:
    """A hanging or ended process may refuse one of the three and tell the others."""
    for told in (process.environ, process.cmdline, process.cwd):
        with suppress(psutil.Error, OSError):
            texts = told()
            if isinstance(texts, dict):
                texts = [texts.get(MARK, "")]
            if any(folder in text for text in ([texts] if isinstance(texts, str) else texts)):
                return True
    return False


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
