"""Pace and places, and what a client that leaves frees."""

import anyio
import pytest

from finsight_serve_sim.app import SimApp
from finsight_serve_sim.options import Options

pytestmark = pytest.mark.anyio
QUESTION = {"model": "sim", "prompt": "x", "max_tokens": 3}


async def until(condition, deadline_s: float = 5.0) -> None:
    with anyio.fail_after(deadline_s):
        while not condition():
            await anyio.sleep(0.001)  # between two looks at the condition


def gauge(metric) -> float:
    return metric._value.get()


async def test_first_token_and_pace_take_the_time_that_the_options_say(connect):
    async with connect(ttft_s=0.05, token_interval_s=0.02) as client:
        started_s = anyio.current_time()
        await client.post("/v1/completions", json=QUESTION)
        assert 0.09 <= anyio.current_time() - started_s < 1.0


async def test_the_pace_slows_with_each_answer_beside_it(connect):
    async with connect(batch_token_interval_s=0.4) as client:
        took_s = []

        async def ask() -> None:
            started_s = anyio.current_time()
            await client.post("/v1/completions", json={**QUESTION, "max_tokens": 2})
            took_s.append(anyio.current_time() - started_s)

        await ask()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
    assert took_s[0] < 0.4 <= max(took_s[1:])


async def test_requests_beyond_max_num_seqs_wait_and_are_all_answered(connect):
    async with connect(max_num_seqs=2, ttft_s=0.05) as client, anyio.create_task_group() as tasks:
        metrics = client._transport.app.metrics
        statuses = []

        async def ask() -> None:
            statuses.append((await client.post("/v1/completions", json=QUESTION)).status_code)

        for _ in range(5):
            tasks.start_soon(ask)
        await until(lambda: (gauge(metrics.running), gauge(metrics.waiting)) == (2, 3))
    assert statuses == [200] * 5
    assert (gauge(metrics.running), gauge(metrics.waiting)) == (0, 0)


@pytest.mark.parametrize("options", [{"ttft_s": 60.0}, {"token_interval_s": 60.0}, {"hang": True}])
async def test_a_client_that_leaves_frees_its_place(options):
    app = SimApp("sim", Options(**options))
    gone = anyio.Event()
    body = [{"type": "http.request", "body": b'{"model": "sim", "prompt": "x", "stream": true}'}]

    async def receive():
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, receive, send)
            if not options.get("hang"):
                await until(lambda: gauge(app.metrics.running) == 1)
            gone.set()
    assert gauge(app.metrics.running) == 0
