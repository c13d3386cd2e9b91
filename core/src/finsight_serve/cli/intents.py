"""How a command gets done what it asks for: by the controller, or by itself where none runs."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..controller.facts import Intent

SAID_AFTER_S = 2.0


def who() -> str:
    """The person at the terminal, for the audit: also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def intend(folder: Path, fact: "Intent") -> bool:
    """Stored and, where a controller runs (True), acted on. Raises `UserError` if it is refused."""
    from ..controller.client import Client
    from ..controller.session import hold, record
    from ..processes import SystemClock

    with say_if_slow():
        is_taken = Client(folder).intend(fact)
    if is_taken:
        return True
    with hold(folder) as held:
        record(held, fact, SystemClock())
    return False


@contextmanager
def say_if_slow(after_s: float = SAID_AFTER_S) -> Iterator[None]:
    """On standard error, so that a script's output stays as it is."""
    line = Timer(after_s, click.echo, ["Waiting for the controller to answer …"], {"err": True})
    line.daemon = True
    line.start()
    try:
        yield
    finally:
        line.cancel()
