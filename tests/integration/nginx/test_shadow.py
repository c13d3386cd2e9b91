"""Copies of a share of the requests: they reach the socket whole, and cost the client and the ledger nothing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from finsight_serve.testing.waiting import wait_for

from .edge import KEY, Edge, route
from .upstream import Seen, completion, read_request, says

pytestmark = pytest.mark.anyio

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(path: Path, serve: Serve) -> AsyncIterator[None]:
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(run, path, limit=2**25)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()


class Copies:
    """Answers at once, as the listener is to do."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(await read_request(b"", reader))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()


@pytest.fixture
async def socket(edge: Edge) -> Path:
    edge.shadow_socket = str(edge.state_dir / "shadow.sock")
    await edge.upstream(says(200, completion()))
    return Path(edge.shadow_socket)


async def post(edge: Edge, count: int = 1, key: str = KEY, path: str = "/v1/chat/completions") -> list[int]:
    """One after the other on one connection."""
    async with edge.http(key) as http:
        return [(await http.post(path, json={"n": n}, headers={"Cookie": "a"})).status_code for n in range(count)]


async def test_a_copy_is_whole_and_without_the_clients_key(edge: Edge, socket: Path) -> None:
    copies = Copies()
    await edge.apply(route("Desk A", shadow_percent=100), route("other", "sk-2"))
    async with listening(socket, copies):
        async with edge.http() as http:
            answer = await http.post(
                "/v1/chat/completions?a=%20b", json={"text": "ü" * 100_000}, headers={"X-Key": KEY}
            )
        assert (await post(edge, key="sk-2")) == [200]
        await wait_for(lambda: copies.seen, what="the copy")
        rows = await edge.rows(2)
    [seen] = copies.seen
    assert (seen.method, seen.target) == ("POST", "/v1/chat/completions?a=%20b")
    assert json.loads(seen.body) == {"text": "ü" * 100_000}
    names = {"x-finsight-tenant", "x-request-id", "x-original-uri", "content-type", "content-length"}
    assert seen.headers.keys() == names | {"host", "connection"}
    assert seen.headers["x-finsight-tenant"] == "Desk%20A"
    assert seen.headers["x-request-id"] == answer.headers["x-request-id"]
    assert seen.headers["content-type"] == "application/json"
    assert [(row.tenant, row.status, row.outcome) for row in rows] == [
        ("Desk A", 200, "complete"),
        ("other", 200, "complete"),
    ]


async def test_about_the_share_is_copied(edge: Edge, socket: Path) -> None:
    copies = Copies()
    await edge.apply(route(shadow_percent=30))
    async with listening(socket, copies):
        assert set(await post(edge, 300)) == {200}
        await edge.rows(300)
    assert 55 <= len(copies.seen) <= 130


async def test_what_is_refused_is_not_copied(edge: Edge, socket: Path) -> None:
    copies = Copies()
    await edge.apply(route(shadow_percent=100, limit=0), route("rate", "sk-2", requests_per_s=0.01, shadow_percent=100))
    async with listening(socket, copies):
        assert await post(edge, 3) == [429] * 3
        assert await post(edge, 3, key="unknown") == [401] * 3
        assert await post(edge, 1, path="/shadow") == [404]
        assert await post(edge, 3, key="sk-2") == [200, 429, 429]
        await edge.rows(6)
        assert len(await wait_for(lambda: copies.seen)) == 1


async def test_a_copy_takes_nothing_of_the_limits(edge: Edge, socket: Path) -> None:
    copies = Copies()
    await edge.apply(route(shadow_percent=100, limit=1, requests_per_s=3))
    async with listening(socket, copies):
        assert await post(edge, 4) == [200, 200, 200, 429]
    assert len(await edge.rows(4)) == 4 and await edge.open() == ()
    assert len(copies.seen) == 3


async def test_nobody_listening_harms_nobody(edge: Edge, socket: Path) -> None:
    canary = "CANARY-51"
    await edge.apply(route(shadow_percent=100))
    began_s = time.monotonic()
    assert set(await post(edge, 20, path=f"/v1/models?q={canary}")) == {200}
    assert time.monotonic() - began_s < 10
    assert [row.outcome for row in await edge.rows(20)] == ["complete"] * 20
    assert canary not in (edge.state_dir / "logs" / "error.log").read_text()


@pytest.mark.parametrize("reads", [True, False])
async def test_a_listener_that_hangs_harms_nobody(edge: Edge, socket: Path, reads: bool) -> None:
    """It holds up at most what follows on the same connection, once in a while and for a moment."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reads or await reader.read(2**16):
            await asyncio.sleep(3600)  # a listener that never answers is what is tested; it is cancelled with the test

    await edge.apply(route(shadow_percent=100))
    async with listening(socket, hang):
        async with edge.http() as http:
            began_s = time.monotonic()
            for _ in range(20):
                sent_s = time.monotonic()
                answer = await http.post("/v1/chat/completions", json={"text": "x" * 1_000_000})
                assert answer.status_code == 200 and time.monotonic() - sent_s < 5
            assert time.monotonic() - began_s < 20
        assert {row.outcome for row in await edge.rows(20)} == {"complete"}


async def test_a_listener_that_comes_late_is_found(edge: Edge, socket: Path) -> None:
    copies = Copies()
    await edge.apply(route(shadow_percent=100))
    assert await post(edge) == [200]

    async def copied() -> bool:
        return await post(edge) == [200] and bool(copies.seen)

    async with listening(socket, copies):
        await wait_for(copied, 60, "a copy")
