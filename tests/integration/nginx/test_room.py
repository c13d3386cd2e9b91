"""A deployment that has as many requests in work as it may: more are refused at once, fairly, and it heals."""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from finsight_serve.plugin import Replica, RouteTable
from finsight_serve.testing.real_env import find_free_port
from finsight_serve.testing.waiting import wait_for
from finsight_serve_nginx import family

from .edge import Edge, route
from .test_metrics import become
from .upstream import Held, completion, says

pytestmark = pytest.mark.anyio

SHED = "finsight_shed_requests_total"
BIG, SMALL = route("big", "sk-big"), route("small", "sk-small")


async def bounded(edge: Edge, bound: int, *routes: object, version: int = 0, **more: object) -> None:
    """One deployment with such a bound and all upstreams."""
    replicas = tuple(
        Replica(f"chat-{n}", "chat", upstream.address, "ready") for n, upstream in enumerate(edge.upstreams)
    )
    table = RouteTable(routes or (BIG, SMALL), replicas, edge.keys, version, max_ongoing_requests={"chat": bound})  # type: ignore[arg-type]
    await edge.plugin.apply(edge.plugin.compile(replace(table, **more)))  # type: ignore[arg-type]


class Streams:
    """Streams that are held open."""

    def __init__(self, edge: Edge, stack: AsyncExitStack) -> None:
        self._edge, self._stack = edge, stack
        self.open: list[httpx.Response] = []

    async def ask(self, key: str) -> int:
        answer = await self._stack.enter_async_context(self._edge.stream(key))
        if answer.status_code == 200:
            self.open.append(answer)
        return answer.status_code

    async def flood(self, key: str, times: int) -> int:
        """How many of so many were let in."""
        return [await self.ask(key) for _ in range(times)].count(200)


@asynccontextmanager
async def streams(edge: Edge) -> AsyncIterator[Streams]:
    async with AsyncExitStack() as stack:
        yield Streams(edge, stack)


async def test_it_is_refused_at_once_and_no_replica_hears_of_it(edge: Edge) -> None:
    held = Held()
    upstream = await edge.upstream(held)
    await bounded(edge, 3)
    async with streams(edge) as opened:
        assert await opened.flood("sk-big", 4) == 2
        seen = len(upstream.seen)
        refused = await edge.get(key="sk-big")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.headers["x-request-id"]
        error = refused.json()["error"]
        assert error == {**error, "type": "server_error", "code": "overloaded"}
        assert len(upstream.seen) == seen == 2
        held.go.set()
        for answer in opened.open:
            assert (await answer.aread()).endswith(b"[DONE]\n\n"), "what is open is not touched"
        assert (await edge.get(key="sk-big")).status_code == 200
    rows = Counter((row.deployment, row.status, row.outcome, row.replica != "") for row in await edge.rows(6))
    assert rows == {("chat", 200, "complete", True): 3, ("chat", 503, "failed", False): 3}
    assert await edge.open() == ()


async def test_who_floods_leaves_room_for_who_asks_little(edge: Edge) -> None:
    """And makes room for who wants as much: it gets nothing new before both have the same."""
    await edge.upstream(Held())
    await bounded(edge, 12)
    async with streams(edge) as opened:
        assert await opened.flood("sk-big", 20) == 8, "two thirds"
        assert await opened.flood("sk-small", 2) == 2
        assert await opened.flood("sk-big", 5) == 0
        assert 3 <= 2 + await opened.flood("sk-small", 5) <= 4
        assert await opened.flood("sk-big", 5) == 0


async def test_a_deployment_without_a_bound_takes_any_number(edge: Edge) -> None:
    await edge.upstream(Held())
    await bounded(edge, 1, max_ongoing_requests={"other": 1})
    async with streams(edge) as opened:
        assert await opened.flood("sk-big", 20) == 20


async def test_counts_outlive_a_reload_and_a_raised_bound_holds_at_once(edge: Edge) -> None:
    await edge.upstream(Held())
    await bounded(edge, 3)
    async with streams(edge) as opened:
        assert await opened.flood("sk-big", 5) == 2
        await bounded(edge, 3, version=1)
        assert await opened.flood("sk-big", 5) == 0
        await bounded(edge, 6, version=2)
        assert await opened.flood("sk-big", 5) == 2
    await wait_for(lambda: _none_open(edge), 60, "the end of all streams")
    async with streams(edge) as opened:
        assert await opened.flood("sk-big", 8) == 4, "nothing is left counted"


async def test_what_a_killed_worker_had_is_given_back(state_dir: Path) -> None:
    edge = Edge(state_dir, workers=1)
    try:
        held = Held()
        await edge.upstream(held)
        await bounded(edge, 3)
        async with streams(edge) as opened:
            assert await opened.flood("sk-big", 5) == 2
            [worker] = [member for member in edge.family().members if member.pid in edge.workers()]
            family.tell(worker, signal.SIGKILL)
            rows = await edge.rows(5)  # reading them tends what was lost
        assert Counter(row.outcome for row in rows) == {"failed": 3, "unknown": 2}
        await wait_for(lambda: _none_open(edge), 60, "the sweep")
        async with streams(edge) as opened:
            assert await opened.flood("sk-big", 5) == 2
    finally:
        await edge.close()


async def test_a_spare_is_not_asked_for_what_is_shed_and_has_what_it_took_over(edge: Edge) -> None:
    """What it took over takes up room there, and none any more where it was sent first."""
    held = Held()
    edge.keys = {"chat": "k1", "other": "k2"}
    gone, other = await edge.upstream(says(200, completion())), await edge.upstream(held)
    await gone.stop()
    replicas = tuple(Replica(name, name, one.address, "ready") for name, one in (("chat", gone), ("other", other)))
    routes = (BIG, route("small", "sk-small", {"other": 100}))
    bounds = {"chat": 3, "other": 3}
    table = RouteTable(routes, replicas, edge.keys, spares={"chat": "other"}, max_ongoing_requests=bounds)
    await edge.plugin.apply(edge.plugin.compile(table))
    async with streams(edge) as opened:
        assert await opened.flood("sk-big", 3) == 3, "none of them is at chat"
        assert await opened.flood("sk-small", 1) == 0, "all of them are at other"
    await wait_for(lambda: _none_open(edge), 60, "the end of all streams")
    asked = len(other.seen)
    await edge.plugin.apply(edge.plugin.compile(replace(table, version=1, max_ongoing_requests={"chat": 1})))
    fresh = await edge.upstream(held)
    alive = (Replica("chat", "chat", fresh.address, "ready"), replicas[1])
    await edge.plugin.apply(
        edge.plugin.compile(replace(table, version=2, replicas=alive, max_ongoing_requests={"chat": 1}))
    )
    async with streams(edge) as opened:
        assert await opened.flood("sk-big", 4) == 1
    assert len(other.seen) == asked


async def test_what_is_refused_takes_nothing_of_a_tenants_rate(edge: Edge) -> None:
    await edge.upstream(Held())
    await bounded(edge, 1, route("big", "sk-big", requests_per_s=2), SMALL)
    async with streams(edge) as opened:
        assert await opened.flood("sk-small", 1) == 1
        codes = {(await edge.get(key="sk-big")).json()["error"]["code"] for _ in range(6)}
        assert codes == {"overloaded"}


async def test_it_is_counted_by_tenant_and_deployment(state_dir: Path) -> None:
    edge = Edge(state_dir, metrics_listen=f"127.0.0.1:{find_free_port()}")
    try:
        await edge.upstream(Held())
        await bounded(edge, 3)
        assert await become(edge, SHED, {("big", "chat"): 0, ("small", "chat"): 0})()
        async with streams(edge) as opened:
            await opened.flood("sk-big", 5)
            assert await become(edge, SHED, {("big", "chat"): 3, ("small", "chat"): 0})()
    finally:
        await edge.close()


async def _none_open(edge: Edge) -> bool:
    return await edge.open() == ()
