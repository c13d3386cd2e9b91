"""`fs` in a process of its own, without a stack that is kept; `Stand` is for those."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def run_fs(
    *argv: str, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 120.0
) -> "subprocess.CompletedProcess[str]":
    """`env` is added to this process's own."""
    return subprocess.run(
        [sys.executable, "-m", "finsight_serve", *argv],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


@contextmanager
def running(
    argv: Sequence[str], log: Path, *, env: Mapping[str, str], cwd: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """A command whose output goes to `log`; what has not ended by itself is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
