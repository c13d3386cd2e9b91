"""The ledger says what became of each request, and keeps saying it through rotation, restarts and killed workers."""

import os
import signal
import time

import anyio
import httpx
import pytest

from finsight_serve.testing.waiting import snapshot_when, wait_for
from finsight_serve_nginx.ledger import Ledger

from .edge import Edge, route
from .upstream import (
    Answer,
    Held,
    closed_stream,
    completion,
    framed,
    reset_stream,
    says,
    unfinished_stream,
    whole_stream,
)

pytestmark = pytest.mark.anyio

LONG = b'"' + b"x" * 100_000 + b'"'  # more than one of nginx's buffers
EVENTS = b'data: {"choices":[]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (whole_stream, "complete"),
        (says(200, completion("data: [DONE]")), "complete"),
        (unfinished_stream, "truncated"),
        (reset_stream, "truncated"),
        (closed_stream, "truncated"),
        (framed(LONG, length=len(LONG)), "complete"),
        (framed(LONG, length=len(LONG) + 1), "truncated"),
        (framed(LONG), "complete"),
        (framed(b"", length=0), "complete"),
        (framed(EVENTS, length=len(EVENTS), content_type="text/event-stream"), "complete"),
        (framed(EVENTS[:-9], length=len(EVENTS) - 9, content_type="text/event-stream"), "truncated"),
        (says(400, {"error": {}}), "complete"),
        (says(500, {"error": {}}), "failed"),
        (says(503, {"error": {}}), "failed"),
    ],
)
async def test_outcomes(edge: Edge, answer: Answer, outcome: str) -> None:
    replica = await edge.upstream(answer)
    await edge.apply()
    try:
        async with edge.stream() as got:
            await got.aread()
    except httpx.RemoteProtocolError:
        assert outcome == "truncated"
    [row] = await edge.rows(1)
    assert row.outcome == outcome
    assert (row.tenant, row.deployment, row.replica) == ("desk", "chat", replica.address)
    assert row.status == got.status_code and row.id == got.headers["x-request-id"]
    assert row.duration_s is not None and 0 <= row.duration_s < 5


async def test_what_ends_on_an_error_page_gives_its_room_back(edge: Edge) -> None:
    replica = await edge.upstream(says(503, {"error": {}}))
    await edge.apply(route(limit=1, requests_per_s=1000, tokens_per_minute=1000))
    assert [(await edge.get()).status_code for _ in range(3)] == [503] * 3
    await replica.stop()
    assert [(await edge.get()).status_code for _ in range(3)] == [502] * 3
    assert {(row.outcome, row.tokens_from) for row in await edge.rows(6)} == {("failed", "")}
    assert await edge.open() == ()


async def test_a_client_that_leaves(edge: Edge) -> None:
    held = Held()
    await edge.upstream(held)
    await edge.apply(route(limit=1))
    async with edge.stream() as answer:
        body = answer.aiter_raw()
        await anext(body)
    with anyio.fail_after(60):
        await held.gone.wait()  # the replica is told at once, and stops working for nobody
    [row] = await edge.rows(1)
    assert row.outcome == "client_closed"
    assert row.ttft_s is not None and row.duration_s is not None and row.ttft_s <= row.duration_s
    assert await edge.open() == ()


async def test_time_to_first_byte_is_not_the_duration(edge: Edge) -> None:
    held = Held()
    await edge.upstream(held)
    await edge.apply()
    async with edge.stream() as answer:
        body = answer.aiter_raw()
        await anext(body)
        [seen] = await edge.open()
        await wait_for(lambda: time.time() - seen.started_s >= 0.3)
        held.go.set()
        async for _ in body:
            pass
    [row] = await edge.rows(1)
    assert row.ttft_s is not None and row.duration_s is not None
    assert row.ttft_s + 0.2 < row.duration_s
    assert abs(row.started_s - seen.started_s) < 0.1


async def test_refusals_of_a_known_tenant_are_kept_and_others_not(edge: Edge) -> None:
    await edge.apply(route(limit=0), route("other", "sk-2", {}), chat=[await edge.upstream(says(200, 1))])
    await edge.get(key="unknown")
    await edge.get("/metrics", key=None)
    await edge.get()
    await edge.get(key="sk-2")
    rows = await edge.rows(2)
    assert [(row.tenant, row.status, row.outcome) for row in rows] == [
        ("desk", 429, "complete"),
        ("other", 503, "failed"),
    ]


async def test_a_cursor_goes_on_after_rotation_and_a_restarted_reader(edge: Edge) -> None:
    await edge.upstream(says(200, 1))
    edge.plugin._ledger._rotate_bytes = 4000
    await edge.apply()
    ids, cursor = [], ""
    async with edge.http() as http:
        for _ in range(6):
            sent = [(await http.get("/v1/models")).headers["x-request-id"] for _ in range(10)]
            rows = await edge.rows(10, cursor)
            assert [row.id for row in rows] == sent
            ids += sent
            cursor = rows[-1].cursor
            edge.plugin = edge.another()
            edge.plugin._ledger._rotate_bytes = 4000
    rotated = [path for path in (edge.state_dir / "ledger").glob("*.log") if path.stem.isdigit()]
    assert len(rotated) >= 3
    assert [row.id for row in await edge.rows(60)] == ids


async def test_no_line_is_lost_while_rotating_under_load(edge: Edge) -> None:
    await edge.upstream(says(200, 1))
    edge.plugin._ledger = Ledger(edge.state_dir / "ledger", rotate_bytes=20_000, keep=1000)
    edge.plugin._upkeep._ledger = edge.plugin._ledger
    await edge.apply()
    sent: set[str] = set()

    async def ask() -> None:
        async with edge.http() as http:
            for _ in range(150):
                sent.add((await http.get("/v1/models")).headers["x-request-id"])

    async def rotate() -> None:
        while len(sent) < 590:
            await edge.plugin._upkeep.tend(every_s=0)
            await anyio.sleep(0.01)  # the pace of rotation; the loop ends by what was sent

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rotate)
        for _ in range(4):
            tasks.start_soon(ask)
    assert len([*(edge.state_dir / "ledger").glob("0*.log")]) >= 5
    assert {row.id for row in await edge.rows(600)} == sent


async def test_a_killed_worker_leaves_unknown_rows_and_no_tightened_limit(edge: Edge) -> None:
    held = Held()
    await edge.upstream(held)
    await edge.apply(route(limit=3))
    async with anyio.create_task_group() as tasks:

        async def lose() -> None:
            with pytest.raises(httpx.RemoteProtocolError):
                async with edge.stream() as answer:
                    async for _ in answer.aiter_raw():
                        pass

        for _ in range(3):
            tasks.start_soon(lose)
        entries = await wait_for(lambda: _all_open(edge, 3))
        for pid in {entry.pid for entry in entries}:
            os.kill(pid, signal.SIGKILL)
    held.go.set()
    rows = await edge.rows(3)
    assert {row.id for row in rows} == {entry.id for entry in entries}
    assert {(row.tenant, row.deployment, row.outcome, row.duration_s) for row in rows} == {
        ("desk", "chat", "unknown", None)
    }
    assert [(await edge.get()).status_code for _ in range(3)] == [200] * 3
    held.go.clear()
    async with edge.stream(), edge.stream(), edge.stream():
        assert (await edge.get()).status_code == 429
        held.go.set()


async def _all_open(edge: Edge, count: int) -> object:
    entries = await edge.open()
    return entries if len(entries) == count else ()


async def test_observe_heals_too(edge: Edge) -> None:
    await edge.upstream(Held())
    await edge.apply()
    streams = anyio.create_task_group()
    async with streams:

        async def lose() -> None:
            with pytest.raises(httpx.RemoteProtocolError):
                async with edge.stream() as answer:
                    await answer.aread()

        streams.start_soon(lose)
        await snapshot_when(edge.plugin, lambda seen: seen.open_streams == {("desk", "chat"): 1})
        [entry] = await edge.open()
        os.kill(entry.pid, signal.SIGKILL)
    await snapshot_when(edge.plugin, lambda seen: seen.open_streams == {}, deadline_s=4)


async def test_all_of_nginx_killed_leaves_unknown_rows_too(edge: Edge) -> None:
    await edge.upstream(Held())
    await edge.apply()
    async with anyio.create_task_group() as tasks:

        async def lose() -> None:
            with pytest.raises(httpx.HTTPError):
                async with edge.stream() as answer:
                    await answer.aread()

        tasks.start_soon(lose)
        await snapshot_when(edge.plugin, lambda seen: bool(seen.open_streams))
        [entry] = await edge.open()
        for member in edge.family().members:
            os.kill(member.pid, signal.SIGKILL)
    [row] = await edge.rows(1)
    assert (row.id, row.outcome) == (entry.id, "unknown")
