"""Waiting for the world instead of sleeping."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.1


def wait_until(condition: Callable[[], T], deadline_s: float, what: str, *, poll_s: float = POLL_S) -> T:
    """The condition's first true result. Raises `AssertionError` naming `what` after `deadline_s`."""
    ends_s = time.monotonic() + deadline_s
    never = Event()
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > ends_s:
            raise AssertionError(f"{what}: not within {deadline_s:g} s")
        never.wait(poll_s)
