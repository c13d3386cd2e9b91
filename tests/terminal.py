"""A command that is asked at a terminal: its stdin is one, stdout and stderr are not."""

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence

NO, YES, END_OF_INPUT = "n\n", "y\n", "\x04"


def answer(typed: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """What is typed waits in the terminal until the question comes."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        return subprocess.run(argv, env=env, stdin=theirs, capture_output=True, text=True, timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
