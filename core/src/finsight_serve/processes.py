"""The real process runner and clock behind `env`."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import psutil

from .env import Outcome, ProcessId


class SystemClock:
    def now(self) -> float:
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        await anyio.sleep(delay_s)


class SystemProcesses:
    async def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 60.0
    ) -> Outcome:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(127, "", f"{argv[0]}: {error.strerror or error}")
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate()
        except TimeoutError:
            return Outcome(124, "", f"{argv[0]}: no end within {timeout_s:g} s")
        finally:
            if process.returncode is None:  # on a timeout and on cancellation alike
                _kill_group(process.pid)
                with anyio.CancelScope(shield=True):
                    await process.wait()
        return Outcome(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path) -> ProcessId:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return ProcessId(process.pid, psutil.Process(process.pid).create_time())

    def alive(self, process: ProcessId) -> bool:
        return _find(process) is not None

    async def stop(self, process: ProcessId, *, grace_s: float) -> None:
        found = _find(process)
        if found is None:
            return
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            found.terminate()
        with anyio.move_on_after(grace_s):
            while self.alive(process):
                await anyio.sleep(0.05)
        _kill_group(process.pid)  # after a good end too: what it started and left behind
        while self.alive(process):
            await anyio.sleep(0.05)


def _find(process: ProcessId) -> psutil.Process | None:
    """The process if it still runs; our own dead children are reaped on the way, so that no zombie looks alive."""
    try:
        found = psutil.Process(process.pid)
        # psutil rounds the start time to a clock tick, and computes it from a boot time that may be corrected
        if abs(found.create_time() - process.started_s) > 2.0:
            return None
        if found.status() == psutil.STATUS_ZOMBIE:
            _reap(process.pid)
            return None
        return found
    except psutil.NoSuchProcess:
        return None


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # another process's child: its parent reaps it
        os.waitpid(pid, os.WNOHANG)


def _kill_group(pid: int) -> None:
    """Every process here leads a group of its own (start_new_session), so its helpers go with it."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.killpg(pid, signal.SIGKILL)
