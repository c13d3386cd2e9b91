"""An API server that keeps its history in memory and can be told how to fail. Only what watching needs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from finsight_serve_k8s_keda.kinds import Json, Kind
from finsight_serve_k8s_keda.kube_api import Change
from finsight_serve_k8s_keda.refusals import ApiRefusal


@dataclass
class FakeKube:
    """`objects` is the truth, by kind and name; each change of it has a version."""

    namespace: str = "tests"
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    history: list[tuple[str, Change]] = field(default_factory=list)  # kind, change; its version is its place
    forgotten: int = 0  # versions before this one can't be watched from
    refusals: dict[str, int] = field(default_factory=dict)  # "list Pod" → the code it is refused with
    logs: Mapping[str, str] = field(default_factory=dict)  # pod → its log
    asked: list[str] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: int = 0

    def put(self, kind: Kind, body: Json) -> None:
        key = (kind.kind, body["metadata"]["name"])
        self._note(kind, "MODIFIED" if key in self.objects else "ADDED", body)

    def remove(self, kind: Kind, name: str) -> None:
        if (kind.kind, name) in self.objects:
            self._note(kind, "DELETED", self.objects[kind.kind, name])

    def close_watches(self) -> None:
        """As the server does after some minutes."""
        self._closed += 1
        self._wake()

    def forget(self) -> None:
        """Watches end, and none can go on from before now: 410."""
        self.forgotten = len(self.history) + 1
        self.history.append(("", Change("BOOKMARK", {})))
        self.close_watches()

    def _note(self, kind: Kind, type: Any, body: Json) -> None:
        version = str(len(self.history) + 1)
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        self.history.append((kind.kind, Change(type, body)))
        if type == "DELETED":
            del self.objects[kind.kind, body["metadata"]["name"]]
        else:
            self.objects[kind.kind, body["metadata"]["name"]] = body
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _refuse(self, what: str) -> None:
        self.asked.append(what)
        if what in self.refusals:
            raise ApiRefusal(f"{what} is refused", self.refusals[what])

    async def pages(self, kind: Kind, selector: str = "") -> AsyncIterator[tuple[list[Json], str]]:
        self._refuse(f"list {kind.kind}")
        version = str(len(self.history))
        bodies = [body for (found, _), body in self.objects.items() if found == kind.kind]
        await asyncio.sleep(0)
        for at in range(0, max(len(bodies), 1), 2):
            yield bodies[at : at + 2], version
            await asyncio.sleep(0)

    async def watch(self, kind: Kind, selector: str, resource_version: str) -> AsyncIterator[Change]:
        self._refuse(f"watch {kind.kind}")
        closed = self._closed
        if not resource_version:
            for (found, _), body in list(self.objects.items()):
                if found == kind.kind:
                    yield Change("ADDED", body)
        at = int(resource_version or len(self.history))
        if at < self.forgotten:
            raise ApiRefusal("too old", 410)
        while True:
            changed = self._changed
            for found, change in self.history[at:]:
                at += 1
                if found == kind.kind:
                    yield change
            if self._closed != closed:
                return
            if at == len(self.history):
                await changed.wait()

    async def text(self, path: str, query: Mapping[str, str]) -> str:
        pod = path.split("/")[-2]
        self.asked.append(f"log {pod} previous={query['previous']}")
        await asyncio.sleep(0)
        if pod not in self.logs:
            raise ApiRefusal("no such log", 404)
        return self.logs[pod]


class QuickClock:
    """Sleeps are over at once."""

    def now(self) -> float:
        return 0.0

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Lets everything else run until it holds. Raises `TimeoutError`."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
