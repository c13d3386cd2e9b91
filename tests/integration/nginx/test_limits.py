"""Requests per second and tokens per minute: refused with the exact time, for this tenant alone, through reloads."""

import math
import time
from collections import Counter

import anyio
import httpx
import openai
import pytest

from finsight_serve.testing.waiting import wait_for

from .edge import Edge, route
from .upstream import completion, says, sends, speaker, usage_event

pytestmark = pytest.mark.anyio


async def post(edge: Edge, key: str = "sk-desk") -> httpx.Response:
    """On a connection of its own."""
    async with edge.http(key) as http:
        return await http.post("/v1/chat/completions", json={"model": "m"})


def used(prompt: int, completed: int) -> dict[str, object]:
    return {**completion(), "usage": {"prompt_tokens": prompt, "completion_tokens": completed}}


async def test_a_seconds_worth_at_once_then_429_with_the_time_to_wait(edge: Edge) -> None:
    await edge.upstream(says(200, completion()))
    await edge.apply(route(requests_per_s=0.25), route("other", "sk-2", requests_per_s=3))
    assert (await post(edge)).status_code == 200
    refused = await post(edge)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "4")
    error = refused.json()["error"]
    assert error == {**error, "type": "requests", "code": "rate_limit_exceeded"}
    assert "requests per second" in error["message"]
    statuses = [(await post(edge, "sk-2")).status_code for _ in range(3)]
    assert statuses == [200] * 3, "the other tenant has a limit of its own, of which a second's worth may come at once"
    async with edge.client() as client:
        with pytest.raises(openai.RateLimitError):
            await client.models.list()


async def test_a_refused_request_takes_nothing(edge: Edge) -> None:
    await edge.upstream(says(200, completion()))
    await edge.apply(route(requests_per_s=1))
    started_s = time.monotonic()
    assert (await post(edge)).status_code == 200
    refused = 0
    with anyio.fail_after(60):
        while (answer := await post(edge)).status_code == 429:
            refused += 1
            assert answer.headers["retry-after"] == "1"
    assert refused >= 3 and 0.9 < time.monotonic() - started_s < refused, "had each taken one, it would be later"


async def test_the_rate_holds_over_two_workers(edge: Edge) -> None:
    await edge.upstream(says(200, completion()))
    await edge.apply(route(requests_per_s=20))
    assert len(edge.workers()) == 2
    statuses: Counter[int] = Counter()
    began_s = time.monotonic()

    async def ask() -> None:
        async with edge.http() as http:
            while statuses[200] < 80:
                statuses[(await http.post("/v1/completions", json={})).status_code] += 1

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)
    # 20 at once and 20 each second; what workers do at the same instant may slip through
    assert time.monotonic() - began_s > (80 - 20 - 8) / 20 and statuses[429] > 0


async def test_a_limit_counts_over_a_reload_and_a_raised_one_holds_at_once(edge: Edge) -> None:
    await edge.upstream(says(200, completion()))
    await edge.apply(route(requests_per_s=0.02))
    assert (await post(edge)).status_code == 200
    edge.version = 1
    await edge.apply(route(requests_per_s=0.02))
    refused = await post(edge)
    assert refused.status_code == 429 and 40 <= int(refused.headers["retry-after"]) <= 50
    await edge.apply(route(requests_per_s=10))
    assert (await post(edge)).status_code == 200


async def test_more_than_a_minute_of_tokens_waits_until_it_is_paid_back(edge: Edge) -> None:
    await edge.upstream(says(200, used(20, 103)))
    await edge.apply(route(tokens_per_minute=120), route("other", "sk-2", tokens_per_minute=120))
    started_s = time.monotonic()
    assert (await post(edge)).status_code == 200
    refused = await wait_for(lambda: _refused(edge), 60, "the charge, which is made when an answer has ended")
    assert refused.headers["retry-after"] == "2", "3 tokens over, at two a second"
    error = refused.json()["error"]
    assert error == {**error, "type": "tokens", "code": "rate_limit_exceeded"}
    assert "tokens per minute" in error["message"]
    assert (await post(edge, "sk-2")).status_code == 200
    await wait_for(lambda: _admitted(edge), 60, "the end of the wait")
    assert 1.4 <= time.monotonic() - started_s < 30


@pytest.mark.parametrize("says_usage", [True, False])
async def test_a_streams_tokens_are_charged(edge: Edge, says_usage: bool) -> None:
    usage = [usage_event({"prompt_tokens": 0, "completion_tokens": 600})] if says_usage else []
    text = b'data: {"choices":[{"delta":{"content":"w"}}]}\n\n' * 600
    await edge.upstream(sends(speaker(), text, *usage, b"data: [DONE]\n\n"))
    await edge.apply(route(tokens_per_minute=60))
    assert (await post(edge)).status_code == 200
    refused = await wait_for(lambda: _refused(edge), 60, "the charge")
    assert refused.headers["retry-after"] == str(math.ceil(600 - 60))


async def test_a_huge_debt_is_an_hour_at_most_and_outlives_a_reload(edge: Edge) -> None:
    await edge.upstream(says(200, used(10**6, 10**6)))
    await edge.apply(route(tokens_per_minute=1))
    assert (await post(edge)).status_code == 200
    await wait_for(lambda: _refused(edge), 60, "the charge")
    edge.version = 1
    await edge.apply(route(tokens_per_minute=1))
    refused = await post(edge)
    assert refused.status_code == 429 and 3500 < int(refused.headers["retry-after"]) <= 3600


async def test_each_limit_says_which_one_it_is(edge: Edge) -> None:
    await edge.upstream(says(200, used(1, 1)))
    await edge.apply(route(limit=0, requests_per_s=5, tokens_per_minute=100))
    for _ in range(20):
        error = (await post(edge)).json()["error"]
        assert "ongoing" in error["message"], "what is refused by one limit takes nothing of another"
    rows = await edge.rows(20)
    assert {(row.status, row.tokens_from, row.replica) for row in rows} == {(429, "", "")}


async def _refused(edge: Edge) -> httpx.Response | None:
    answer = await post(edge)
    return answer if answer.status_code == 429 else None


async def _admitted(edge: Edge) -> bool:
    return (await post(edge)).status_code == 200
