"""Another replica is tried before the first byte, once; after it nothing is hidden."""

import asyncio

import anyio
import httpx
import pytest

from finsight_serve.testing.waiting import wait_for

from .edge import Edge, route
from .upstream import Seen, Upstream, completion, reset_stream, says

pytestmark = pytest.mark.anyio


async def hang_up(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang(seen: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_requests_go_round(edge: Edge) -> None:
    replicas = [await edge.upstream(says(200, n)) for n in range(3)]
    await edge.apply()
    async with edge.http() as http:
        for _ in range(30):
            assert (await http.post("/v1/completions", json={})).status_code == 200
    assert [len(replica.seen) for replica in replicas] == [10, 10, 10]


@pytest.mark.parametrize("broken", [says(502, {}), says(503, {}), says(504, {}), hang_up, None])
async def test_a_broken_replica_is_passed_over(edge: Edge, broken: object) -> None:
    await edge.upstream(says(200, completion()))
    other = await edge.upstream(says(200, {}))
    await edge.apply()
    if broken is None:
        await other.stop()
    else:
        other.answer = broken  # type: ignore[assignment]
    async with edge.http() as http:
        statuses = [(await http.post("/v1/completions", json={})).status_code for _ in range(60)]
    assert set(statuses) == {200}
    assert len(other.seen) < 25, "a failing replica is skipped for a while: without that it would see 30"


async def test_never_more_than_two_tries(edge: Edge) -> None:
    replicas = [await edge.upstream(says(503, {})) for _ in range(4)]
    await edge.apply()
    answer = await edge.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert "retry-after" in answer.headers
    assert sum(len(replica.seen) for replica in replicas) == 2


async def test_no_replica_answers_is_502(edge: Edge) -> None:
    for _ in range(3):
        await (await edge.upstream(says(200, {}))).stop()
    await edge.apply()
    answer = await edge.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "bad_gateway")
    assert "retry-after" in answer.headers


async def test_silence_is_504(state_dir: object) -> None:
    edge = Edge(state_dir, read_timeout_s=1)  # type: ignore[arg-type]
    try:
        await edge.upstream(hang)
        await edge.apply()
        answer = await edge.get()
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        assert "retry-after" in answer.headers
    finally:
        await edge.close()


async def test_a_hung_replica_that_is_killed_loses_nothing(edge: Edge) -> None:
    hung, alive = await edge.upstream(hang), await edge.upstream(says(200, completion()))
    await edge.apply()
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await edge.get())

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(ask)
        await wait_for(lambda: len(hung.seen) == 2 and len(answers) == 2, what="two requests to be stuck")
        await edge.apply(route(), chat=[alive])  # evicted
        await hung.stop()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {len(replica.seen) for replica in (hung, alive)} == {2, 4}


async def test_a_stream_that_breaks_is_not_tried_again(edge: Edge) -> None:
    replicas = [await edge.upstream(reset_stream), await edge.upstream(reset_stream)]
    await edge.apply()
    with pytest.raises(httpx.RemoteProtocolError):
        async with edge.stream() as answer:
            assert answer.status_code == 200
            await answer.aread()
    assert sum(len(replica.seen) for replica in replicas) == 1


async def test_a_replica_that_comes_back_is_used_again(edge: Edge) -> None:
    first, second = await edge.upstream(says(200, 1)), await edge.upstream(says(503, {}))
    await edge.apply()
    async with edge.http() as http:
        for _ in range(20):
            await http.get("/v1/models")
        second.answer = says(200, 2)

        async def is_back() -> bool:
            return bool((await http.get("/v1/models")).json() == 2)

        await wait_for(is_back, 8)
    assert isinstance(first, Upstream)
