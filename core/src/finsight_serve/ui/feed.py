"""The document, read once a second while somebody follows it, and handed on where it has changed."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio
import anyio.to_thread

from ..env import Clock

PERIOD_S = 1.0
HEARTBEAT_S = 15.0
NOT_COMPARED = "read_at_s"


class Feed:
    """`look` makes the document; it runs on a thread, one at a time, however many follow."""

    def __init__(
        self,
        look: Callable[[], Mapping[str, Any]],
        clock: Clock,
        *,
        period_s: float = PERIOD_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._look, self._clock, self._period_s, self._heartbeat_s = look, clock, period_s, heartbeat_s
        self._one, self._changed = anyio.CapacityLimiter(1), anyio.Event()
        self._latest: Mapping[str, Any] = {}
        self._number = self._followers = 0

    async def run(self) -> None:
        while True:
            if self._followers:
                await self.read()
            await self._clock.sleep(self._period_s)

    async def read(self) -> Mapping[str, Any]:
        """As it is now."""
        found = await anyio.to_thread.run_sync(self._look, limiter=self._one, abandon_on_cancel=True)
        if _compared(found) != _compared(self._latest):
            self._number += 1
            changed, self._changed = self._changed, anyio.Event()
            changed.set()
        self._latest = found
        return found

    async def follow(self) -> AsyncIterator[Mapping[str, Any] | None]:
        """The document at once, then each that differs; None where nothing has changed for a while.

        Who is slow to take one gets the latest next, so nothing piles up.
        """
        self._followers += 1
        try:
            yield await self.read()
            seen = self._number
            while True:
                with anyio.move_on_after(self._heartbeat_s):
                    if seen == self._number:
                        await self._changed.wait()
                if seen == self._number:
                    yield None
                else:
                    seen = self._number
                    yield self._latest
        finally:
            self._followers -= 1


def _compared(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in document.items() if name != NOT_COMPARED}


def to_json(document: Mapping[str, Any]) -> str:
    """On one line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
