"""The sim engine as a process: over a real socket, with the OpenAI client, and how it ends."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from finsight_serve_sim.options import Options
from finsight_serve_sim.sim_engine import SimEngine

from .server import KEY, Server, started

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(**options: Any) -> Server:
            launch = SimEngine(Options(**options), env=None).launch("sim")
            server = stack.enter_context(started(launch, tmp_path / "log"))
            server.wait_until_healthy(30)
            return server

        yield start


def test_the_openai_client_works_unmodified(start: Start) -> None:
    client = openai.OpenAI(base_url=f"{start().url}/v1", api_key=KEY, max_retries=0)
    messages = [{"role": "user", "content": "to be"}]
    *parts, usage = client.chat.completions.create(
        model="sim", messages=messages, max_tokens=4, stream=True, stream_options={"include_usage": True}
    )
    assert "".join(part.choices[0].delta.content or "" for part in parts) == "to be to be"
    assert usage.usage.completion_tokens == 4
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="other", messages=messages)


def test_it_is_guarded(start: Start) -> None:
    server = start()
    with server.connect(key="another") as http:
        assert http.post("/sim/faults", json={"hang": True}).status_code == 401
        assert http.get("/metrics").status_code == 401


def test_a_broken_stream_is_visibly_broken(start: Start) -> None:
    with start(truncate_after_tokens=3).connect() as http, pytest.raises(httpx.RemoteProtocolError):
        http.post("/v1/completions", json={"model": "sim", "prompt": "x", "max_tokens": 9, "stream": True})


def test_a_crash_is_a_crash(start: Start) -> None:
    server = start(crash_after_tokens=2)
    with server.connect() as http, pytest.raises(httpx.TransportError):
        http.post("/v1/completions", json={"model": "sim", "prompt": "x", "max_tokens": 9, "stream": True})
    assert server.process.wait(10) == -signal.SIGKILL


def test_sigterm_lets_an_open_stream_end(start: Start) -> None:
    server = start(token_interval_s=0.02)
    ask = {"model": "sim", "prompt": "x", "max_tokens": 50, "stream": True}
    with server.connect() as http, http.stream("POST", "/v1/completions", json=ask) as response:
        lines = response.iter_lines()
        parts = [next(lines)]
        server.process.send_signal(signal.SIGTERM)
        parts += [line for line in lines if line]
    assert len(parts) == 50 + 2  # and the finish reason, and the terminal event
    assert parts[-1] == "data: [DONE]"
    server.process.wait(10)


def test_fifty_thousand_tokens_come_whole(start: Start) -> None:
    tokens = 50_000
    with start().connect() as http:
        answer = http.post(
            "/v1/completions", json={"model": "sim", "prompt": "x", "max_tokens": tokens, "stream": True}
        )
    assert answer.text.count("data: ") == tokens + 2


@pytest.mark.parametrize(
    ("argument", "code", "said"),
    [
        ("--fail-load=no such tensor", 1, "error: the engine could not load: no such tensor"),
        ("--ttft-s=-1", 2, "error: ttft_s: Input should be greater than or equal to 0"),
        ("--colour=red", 2, "unrecognized arguments: --colour=red"),
    ],
)
def test_what_it_can_not_do_it_says_in_a_line(argument: str, code: int, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "finsight_serve_sim", argument], capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == code
    assert ran.stderr.strip().splitlines()[-1].endswith(said)
