"""Every replica's environment carries its id, and its children inherit it: what runs for a replica can be found."""

import os
from collections.abc import Iterator
from contextlib import suppress

import psutil

from finsight_serve.env import ProcessId

REPLICA_ENV = "FINSIGHT_REPLICA"


def find_leader(id: str) -> ProcessId | None:
    """The process that was started for this replica, though its starter died before it could write the pid down."""
    for process in _find_marked(id):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == process.pid:
                return ProcessId(process.pid, process.create_time())
    return None


def end_strays(id: str) -> None:
    """Kills what a replica that has died left behind, such as an engine's workers that hold the GPU."""
    for process in _find_marked(id):
        with suppress(psutil.Error):
            process.kill()


def _find_marked(id: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(REPLICA_ENV) == id:
                yield process
