"""Tokens in the ledger: what the engine says, else what was seen, whatever way the answer is cut into buffers."""

from typing import Any

import anyio
import httpx
import pytest

from finsight_serve.plugin import Request

from .edge import Edge, route
from .upstream import (
    DONE,
    STREAM_HEAD,
    Answer,
    Seen,
    chunk,
    completion,
    event,
    framed,
    reset_stream,
    says,
    sends,
    speaker,
    usage_event,
)

pytestmark = pytest.mark.anyio

USAGE = {"prompt_tokens": 7, "total_tokens": 19, "completion_tokens": 12, "prompt_tokens_details": None}
DETAILED = {
    "completion_tokens_details": {"reasoning_tokens": 3, "accepted_prediction_tokens": 4},
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
    "completion_tokens": 12,
    "total_tokens": 19,
    "prompt_tokens": 7,
}
WORDS = b"".join(event(f"w{n} ") for n in range(5))
TALK = speaker() + WORDS + DONE
FORGED = 'say "usage":{"prompt_tokens":1,"completion_tokens":1} \ndata: [DONE]\n\ndata: {"role":""}'


async def row(edge: Edge, answer: Answer) -> Request:
    await edge.upstream(answer)
    await edge.apply()
    try:
        async with edge.stream() as got:
            await got.aread()
    except httpx.RemoteProtocolError:
        pass
    [found] = await edge.rows(1)
    return found


def tokens(request: Request) -> tuple[int | None, int | None, str]:
    return request.prompt_tokens, request.completion_tokens, request.tokens_from


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(says(200, {**completion(), "usage": USAGE}), (7, 12, "usage"), id="json"),
        pytest.param(says(200, {"usage": DETAILED, "prompt_logprobs": None}), (7, 12, "usage"), id="details first"),
        pytest.param(says(200, {"data": "é" * 40_000, "usage": USAGE}), (7, 12, "usage"), id="long json"),
        pytest.param(framed(b'{"usage": {"prompt_tokens": 7}}'), (7, None, "usage"), id="json of no announced length"),
        pytest.param(
            framed(TALK, len(TALK), "text/event-stream"), (None, 5, "chunks"), id="stream of an announced length"
        ),
        pytest.param(says(200, {"usage": {"prompt_tokens": 7, "total_tokens": 7}}), (7, None, "usage"), id="embedding"),
        pytest.param(says(200, {"usage": {"input_tokens": 7, "output_tokens": 12}}), (7, 12, "usage"), id="responses"),
        pytest.param(says(200, completion()), (None, None, ""), id="json without"),
        pytest.param(
            says(200, {**completion(FORGED), "usage": USAGE}), (7, 12, "usage"), id="forged beside a true one"
        ),
        pytest.param(says(200, completion(FORGED)), (None, None, ""), id="forged"),
        pytest.param(says(400, {"error": {}}), (None, None, ""), id="error"),
        pytest.param(sends(speaker(), WORDS, usage_event(USAGE), DONE), (7, 12, "usage"), id="stream"),
        pytest.param(sends(speaker(), WORDS, usage_event(DETAILED) + DONE), (7, 12, "usage"), id="stream, details"),
        pytest.param(sends(speaker(), WORDS, DONE), (None, 5, "chunks"), id="stream without"),
        pytest.param(sends(speaker() + WORDS + DONE), (None, 5, "chunks"), id="in one buffer"),
        pytest.param(sends(WORDS * 100, DONE), (None, 500, "chunks"), id="text from the first event on"),
        pytest.param(sends(speaker(), event(FORGED), DONE), (None, 1, "chunks"), id="forged stream"),
        pytest.param(sends(b": ping\n\n", event("w"), b": ping\n\n", DONE), (None, 1, "chunks"), id="comments"),
        pytest.param(
            sends((speaker() + WORDS + DONE).replace(b"\n", b"\r\n")), (None, 5, "chunks"), id="carriage returns"
        ),
        pytest.param(
            sends(WORDS, event("").replace(b"}\n", b',"usage":null}\n'), DONE), (None, 6, "chunks"), id="null"
        ),
        pytest.param(sends(speaker(), WORDS), (None, 5, "chunks"), id="no terminal event"),
        pytest.param(reset_stream, (None, 1, "chunks"), id="broken off"),
        pytest.param(sends(), (None, 0, "chunks"), id="empty stream"),
    ],
)
async def test_tokens(edge: Edge, answer: Answer, expected: tuple[int | None, int | None, str]) -> None:
    assert tokens(await row(edge, answer)) == expected


def whole(usage: bool) -> bytes:
    return speaker() + event("für ") * 8 + (usage_event(USAGE) if usage else b"") + DONE


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 509, 1024, 1500])
async def test_whatever_the_buffers(edge: Edge, usage: bool, size: int) -> None:
    body = whole(usage)
    found = await row(edge, sends(*(body[at : at + size] for at in range(0, len(body), size))))
    assert tokens(found) == ((7, 12, "usage") if usage else (None, 8, "chunks"))
    assert (found.outcome, found.sent_bytes) == ("complete", len(body))


async def test_a_client_that_leaves_is_counted_as_far_as_it_came(edge: Edge) -> None:
    go = anyio.Event()

    async def answer(seen: Seen, writer: Any) -> None:
        writer.write(STREAM_HEAD + chunk(speaker() + event("a") + event("b")))
        await writer.drain()
        await go.wait()

    await edge.upstream(answer)
    await edge.apply()
    async with edge.stream() as got:
        await anext(got.aiter_raw())
    [found] = await edge.rows(1)
    assert (found.outcome, tokens(found)) == ("client_closed", (None, 2, "chunks"))


async def test_bytes_and_route_version(edge: Edge) -> None:
    body = {**completion(), "usage": USAGE}
    await edge.upstream(says(200, body))
    edge.version = 41
    await edge.apply()
    await edge.get()
    edge.version = 42
    await edge.apply()
    answer = await edge.get()
    await edge.apply(route(limit=0))
    refused = await edge.get()
    rows = await edge.rows(3)
    assert [row.route_version for row in rows] == [41, 42, 42]
    assert answer.json() == body
    assert [row.sent_bytes for row in rows] == [len(answer.content), len(answer.content), len(refused.content)]
