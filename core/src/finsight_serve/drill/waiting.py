"""Waiting for the world, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.2


class DrillError(Exception):
    """What a drill waited for, or tried, did not come about."""


def wait_until(look: Callable[[], T], deadline_s: float, what: str | Callable[[], str]) -> T:
    """The first true result. Raises `DrillError` naming `what` after `deadline_s`."""
    ends_s = time.monotonic() + deadline_s
    while True:
        if found := look():
            return found
        if time.monotonic() > ends_s:
            raise DrillError(f"not within {deadline_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(POLL_S)
