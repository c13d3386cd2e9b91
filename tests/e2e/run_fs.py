"""`fs` in a process of its own, for the commands that start nothing; `Stand` is for those that do."""

import os
import subprocess
import sys
from collections.abc import Mapping
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
