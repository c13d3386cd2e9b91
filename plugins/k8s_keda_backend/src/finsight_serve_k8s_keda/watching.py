"""Listing and then watching a few kinds of objects, of which only what is needed stays in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from finsight_serve.env import Clock

from .kinds import Json, Kind
from .kube_api import Change, KubeApi
from .refusals import FORBIDDEN, GONE, NOT_FOUND, UNAUTHORIZED, ApiRefusal

DEBOUNCE_S = 0.2
"""A rollout changes dozens of objects at once: they are told together."""
RESUME_S = 1.0
"""Before a watch that ended is taken up again, in case the server ends each at once."""
ABSENT_S = 30.0
"""How often it is asked whether a kind that the cluster does not know is installed by now."""


@dataclass(frozen=True)
class Watched:
    """`keep` makes of an object what is remembered of it; None: nothing.

    `optional`: where it may not be read, the rest is shown without it. Without `listed`, it is not known when all that
    was there has been read, but no list of it is ever held.
    """

    kind: Kind
    selector: str
    keep: Callable[[Json], Any]
    optional: bool = False
    listed: bool = True


class Live:
    """What the API server has now, as far as `Watched` asked for it."""

    def __init__(self, api: KubeApi, watched: Sequence[Watched], clock: Clock) -> None:
        self._clock = clock
        self._changed = asyncio.Event()
        self._follower = {one.kind: _Follower(api, one, clock, self.touch) for one in watched}
        self._tasks: list[asyncio.Task[None]] = []

    def kept(self, kind: Kind) -> Mapping[str, Any]:
        """By name."""
        return MappingProxyType(self._follower[kind].kept)

    def touch(self) -> None:
        """Something that belongs to the picture has changed."""
        self._changed.set()

    async def changes(self) -> AsyncIterator[None]:
        """Once all is known, then after each burst of changes. Raises `ApiRefusal` once it can't be known."""
        while True:
            self._raise_what_failed()
            if all(follower.is_complete for follower in self._follower.values()):
                self._changed.clear()
                yield None
            await self._changed.wait()
            await self._clock.sleep(DEBOUNCE_S)

    def start(self) -> None:
        for follower in self._follower.values():
            task = asyncio.create_task(follower.run())
            task.add_done_callback(lambda _: self.touch())
            self._tasks.append(task)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _raise_what_failed(self) -> None:
        for task in self._tasks:
            if task.done() and (error := task.exception()) is not None:
                raise error


@asynccontextmanager
async def watching(api: KubeApi, watched: Sequence[Watched], clock: Clock) -> AsyncIterator[Live]:
    """Plain tasks: a task group may not be held open over the `yield` of whoever gives out snapshots."""
    live = Live(api, watched, clock)
    live.start()
    try:
        yield live
    finally:
        await live.stop()


class _Follower:
    """Keeps one kind true."""

    def __init__(self, api: KubeApi, watched: Watched, clock: Clock, changed: Callable[[], None]) -> None:
        self.kept: dict[str, Any] = {}
        self.is_complete = not watched.listed
        self._api = api
        self._watched = watched
        self._clock = clock
        self._changed = changed

    async def run(self) -> None:
        """For ever. Raises `ApiRefusal`."""
        while True:
            try:
                version = await self._list()
                await self._follow(version)
                pause_s = RESUME_S
            except ApiRefusal as refusal:
                pause_s = self._pause_s(refusal)
            await self._clock.sleep(pause_s)

    def _pause_s(self, refusal: ApiRefusal) -> float:
        """Raises it where it has to be told."""
        if refusal.code == GONE:
            return RESUME_S  # between two pages of a list
        if refusal.code != NOT_FOUND and not (self._watched.optional and refusal.code == FORBIDDEN):
            raise refusal
        self._replace({})
        return ABSENT_S

    async def _list(self) -> str:
        """The version from which to watch; "": from whatever there is, told as changes."""
        if not self._watched.listed:
            self._replace({})
            return ""
        kept: dict[str, Any] = {}
        last = ""
        listing = self._api.pages(self._watched.kind, self._watched.selector)
        async with aclosing(listing) as pages:  # type: ignore[type-var]
            async for bodies, version in pages:
                found = {body["metadata"]["name"]: self._watched.keep(body) for body in bodies}
                kept |= {name: one for name, one in found.items() if one is not None}
                last = version
        self._replace(kept)
        return last

    async def _follow(self, version: str) -> None:
        """Until it can't go on from where it was, so that all must be listed again; then the listing says why."""
        while True:
            try:
                watch = self._api.watch(self._watched.kind, self._watched.selector, version)
                async with aclosing(watch) as changes:  # type: ignore[type-var]
                    async for change in changes:
                        version = change.body["metadata"]["resourceVersion"]
                        self._take(change)
            except ApiRefusal as refusal:
                if refusal.code in (UNAUTHORIZED, FORBIDDEN, NOT_FOUND):
                    raise
                return
            await self._clock.sleep(RESUME_S)

    def _take(self, change: Change) -> None:
        if change.type == "BOOKMARK":
            return
        name = change.body["metadata"]["name"]
        found = None if change.type == "DELETED" else self._watched.keep(change.body)
        if found == self.kept.get(name):
            return
        if found is None:
            del self.kept[name]
        else:
            self.kept[name] = found
        self._changed()

    def _replace(self, kept: dict[str, Any]) -> None:
        if kept != self.kept or not self.is_complete:
            self.kept, self.is_complete = kept, True
            self._changed()
