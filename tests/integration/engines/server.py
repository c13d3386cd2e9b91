"""An engine's process as an orchestrator would start it, for tests."""

import hashlib
import operator
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from finsight_serve.plugin import KEY_HASHES_ENV, Launch

KEY = "the-deployments-own-key"


class Server:
    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def connect(self, key: str = KEY) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=120)

    def family(self) -> list[psutil.Process]:
        """The process and all that it started."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def wait_until_healthy(self, deadline_s: float) -> None:
        def healthy() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                return httpx.get(f"{self.url}/health").status_code == 200
            except httpx.TransportError:
                return False

        until(healthy, deadline_s)


@contextmanager
def started(launch: Launch, log: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [word.replace("{host}", "127.0.0.1").replace("{port}", str(port)) for word in launch.argv]
    env = {**os.environ, **launch.env, KEY_HASHES_ENV: hashlib.sha256(KEY.encode()).hexdigest()}
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    server = Server(process, f"http://127.0.0.1:{port}", log)
    family: list[psutil.Process] = []
    try:
        yield server
    finally:
        if process.poll() is None:
            family = server.family()
        for member in family:
            with_no_complaint(member.kill)
        with_no_complaint(lambda: os.killpg(process.pid, signal.SIGKILL))
        process.wait()


def with_no_complaint(act: Callable[[], object]) -> None:
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        act()


def until(condition: Callable[[], bool], deadline_s: float) -> None:
    """Raises `tenacity.RetryError` if it does not hold within `deadline_s`."""
    Retrying(stop=stop_after_delay(deadline_s), wait=wait_fixed(0.05), retry=retry_if_result(operator.not_))(condition)


def ended(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
