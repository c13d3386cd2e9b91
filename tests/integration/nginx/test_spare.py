"""What no replica of a deployment takes, another deployment's answers: once, with its own key, and booked there."""

import signal

import pytest

from finsight_serve_nginx import family

from .edge import UPSTREAM_KEY, Edge, route
from .test_failover import hang, hang_up
from .upstream import Answer, Held, Upstream, completion, says, whole_stream

pytestmark = pytest.mark.anyio

SPARE_KEY = "spare-secret"


async def pair(edge: Edge, chat: Answer, other: Answer, **limits: object) -> tuple[Upstream, Upstream]:
    """Two replicas' worth of `chat` at one address, and one of `other`."""
    edge.keys, edge.spares = {"chat": UPSTREAM_KEY, "other": SPARE_KEY}, {"chat": "other"}
    chats, others = await edge.upstream(chat), await edge.upstream(other)
    await edge.apply(route(**limits), chat=[chats], other=[others])  # type: ignore[arg-type]
    return chats, others


@pytest.mark.parametrize("broken", [says(502, {}), hang_up, None])
async def test_another_deployment_answers(edge: Edge, broken: Answer | None) -> None:
    chat, other = await pair(edge, broken or says(200, {}), says(200, completion()))
    if broken is None:
        await chat.stop()
    answer = await edge.get("/v1/models?all=1")
    assert (answer.status_code, answer.json()) == (200, completion())
    [seen] = other.seen
    assert (seen.method, seen.target) == ("GET", "/v1/models?all=1")
    assert seen.headers["authorization"] == f"Bearer {SPARE_KEY}"
    assert seen.headers["x-finsight-tenant"] == "desk"
    assert all(one.headers["authorization"] == f"Bearer {UPSTREAM_KEY}" for one in chat.seen)
    [row] = await edge.rows(1)
    assert (row.deployment, row.replica, row.outcome, row.status) == ("other", other.address, "complete", 200)


async def test_a_stream_with_its_body_and_its_tokens(edge: Edge) -> None:
    """Its limits hold as if it had gone the usual way: what it takes is counted, and given back."""
    chat, other = await pair(edge, says(200, {}), whole_stream, limit=1, tokens_per_minute=4)
    await chat.stop()
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 100_000}]}
    async with edge.http() as http:
        first = await http.post("/v1/chat/completions", json=body)
        second = await http.post("/v1/chat/completions", json=body)
    assert first.text.endswith("data: [DONE]\n\n")
    assert len(other.seen[0].body) > 100_000
    assert (second.status_code, second.json()["error"]["code"]) == (429, "rate_limit_exceeded"), "five tokens are owed"
    row, refused = await edge.rows(2)
    assert (row.deployment, row.outcome, row.tokens_from) == ("other", "complete", "chunks")
    assert row.completion_tokens == 6, "with the finishing one"
    assert refused.status == 429
    assert await edge.open() == ()


async def test_it_is_open_where_it_went(edge: Edge) -> None:
    held = Held()
    chat, _ = await pair(edge, says(200, {}), held)
    await chat.stop()
    async with edge.stream() as answer:
        [open] = await edge.open()
        assert open.deployment == "other"
        held.go.set()
        await answer.aread()
    assert (await edge.rows(1))[0].deployment == "other"


async def test_it_is_booked_there_when_its_worker_dies(state_dir: object) -> None:
    edge = Edge(state_dir, workers=1)  # type: ignore[arg-type]
    try:
        held = Held()
        chat, _ = await pair(edge, says(200, {}), held)
        await chat.stop()
        async with edge.stream():
            [worker] = [member for member in edge.family().members if member.pid in edge.workers()]
            family.tell(worker, signal.SIGKILL)
            [row] = await edge.rows(1)
        assert (row.deployment, row.outcome) == ("other", "unknown")
    finally:
        await edge.close()


@pytest.mark.parametrize(("status", "code"), [(502, "bad_gateway"), (503, "service_unavailable"), (504, "timeout")])
async def test_there_is_one_try_of_it(edge: Edge, status: int, code: str) -> None:
    """Whatever it says then is the client's."""
    chat, other = await pair(edge, says(502, {}), says(status, {}))
    answer = await edge.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (len(chat.seen), len(other.seen)) == (1, 1), "of a deployment with one replica nothing is tried twice"
    [row] = await edge.rows(1)
    assert (row.deployment, row.outcome, row.status) == ("other", "failed", status)


@pytest.mark.parametrize("answer", [says(503, {}), says(500, {}), says(429, {})])
async def test_an_overload_is_not_passed_on(edge: Edge, answer: Answer) -> None:
    _, other = await pair(edge, answer, says(200, completion()))
    assert (await edge.get()).status_code != 200
    assert other.seen == []


async def test_who_was_too_slow_is_not_asked_elsewhere(state_dir: object) -> None:
    edge = Edge(state_dir, read_timeout_s=1)  # type: ignore[arg-type]
    try:
        _, other = await pair(edge, hang, says(200, completion()))
        answer = await edge.get()
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        assert other.seen == []
    finally:
        await edge.close()
