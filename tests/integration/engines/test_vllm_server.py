"""vLLM with the real model: what clients get, and how the process ends."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from finsight_serve_vllm.dashboard import DASHBOARD
from finsight_serve_vllm.vllm_engine import SIGNALS, VllmEngine

from .server import KEY, Server, ended, started, until

LOAD_S = 600  # 50 s where nothing else runs
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
CANARY = "quixotic-zephyr-canary"


@pytest.fixture(scope="module")
def server(vllm: VllmEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(vllm.launch("smollm2"), tmp_path_factory.mktemp("vllm") / "log") as server:
        server.wait_until_healthy(LOAD_S)
        yield server


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)


def read_signal(server: Server, name: str) -> float:
    with server.connect() as http:
        families = text_string_to_metric_families(http.get("/metrics").text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == SIGNALS[name])


def test_it_knows_the_capital_of_france(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="smollm2", messages=QUESTION, temperature=0, max_tokens=30)
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_it_streams_the_same_answer_with_its_usage(client: openai.OpenAI) -> None:
    ask = {"model": "smollm2", "messages": QUESTION, "temperature": 0, "max_tokens": 30}
    whole = client.chat.completions.create(**ask)
    *parts, last = client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    assert "".join(part.choices[0].delta.content or "" for part in parts) == whole.choices[0].message.content
    assert parts[-1].choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert len(parts) >= whole.usage.completion_tokens


def test_everything_that_is_drawn_is_told(server: Server) -> None:
    drawn = {name for query in DASHBOARD.queries for name in re.findall(r"vllm:\w+", query.expr)}
    with server.connect() as http:
        families = text_string_to_metric_families(http.get("/metrics").text)
    assert drawn - {sample.name for family in families for sample in family.samples} == set()


def test_completions_and_the_model_list(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="smollm2", prompt="One, two, three,", max_tokens=5, temperature=0)
    assert answer.usage.completion_tokens == 5
    assert [model.id for model in client.models.list()] == ["smollm2"]


def test_errors_have_openais_shape(client: openai.OpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-0", messages=QUESTION)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="smollm2", messages=QUESTION, max_tokens=-1)
    with server.connect() as http:
        headers = {"Content-Type": "application/json"}
        malformed = http.post("/v1/chat/completions", content=b"{", headers=headers)
    assert malformed.status_code == 400
    assert malformed.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs", "/version"])
def test_only_its_load_balancer_gets_in(server: Server, path: str) -> None:
    with server.connect(key="another") as http:
        assert http.get(path).status_code == 401
        assert http.get("/health").status_code == 200


def test_a_client_that_leaves_stops_the_generation(server: Server) -> None:
    before = read_signal(server, "tokens")
    ask = {"model": "smollm2", "prompt": "Once", "max_tokens": 2000, "ignore_eos": True, "stream": True}
    with server.connect() as http, http.stream("POST", "/v1/completions", json=ask) as response:
        lines = response.iter_lines()  # kept: once it is collected, the connection closes
        assert next(lines).startswith("data: ")
        until(lambda: read_signal(server, "running") == 1, deadline_s=20)  # it is set once per engine step
    until(lambda: read_signal(server, "running") == 0, deadline_s=20)
    assert read_signal(server, "tokens") - before < 2000


def test_prompts_and_completions_reach_no_log(client: openai.OpenAI, server: Server) -> None:
    said = [{"role": "user", "content": f"Repeat: {CANARY} {CANARY}"}]
    answer = client.chat.completions.create(model="smollm2", messages=said, temperature=0, max_tokens=40)
    assert answer.choices[0].message.content
    for bad in ({"max_tokens": -1}, {"max_tokens": 10**6}, {"temperature": CANARY}, {"logprobs": CANARY}):
        with server.connect() as http:
            http.post("/v1/chat/completions", json={"model": "smollm2", "messages": said, **bad})
            http.post("/v1/completions", json={"model": CANARY, "prompt": CANARY, **bad})
            http.post("/v1/completions", content=f'{{"prompt": "{CANARY}"'.encode())
    log = server.log.read_text()
    assert "EngineCore" in log  # it is the log of everything
    assert CANARY not in log


def test_sigterm_lets_an_open_stream_end_and_leaves_no_process(server: Server) -> None:
    family = server.family()
    assert len(family) > 1
    ask = {"model": "smollm2", "prompt": "Once", "max_tokens": 60, "ignore_eos": True, "stream": True}
    with server.connect() as http, http.stream("POST", "/v1/completions", json=ask) as response:
        lines = response.iter_lines()
        parts = [next(lines)]
        server.process.send_signal(signal.SIGTERM)
        parts += [line for line in lines if line]
    assert parts[-1] == "data: [DONE]"
    assert json.loads(parts[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    server.process.wait(60)
    until(lambda: ended(family), deadline_s=20)


@pytest.mark.long
def test_a_host_killed_while_loading_leaves_no_process(vllm: VllmEngine, tmp_path: Path) -> None:
    with started(vllm.launch("smollm2"), tmp_path / "log") as server:
        until(lambda: any("EngineCore" in child.name() for child in named(server)), deadline_s=LOAD_S)
        family = server.family()
        server.process.kill()
        server.process.wait()
        until(lambda: ended(family), deadline_s=30)


@pytest.mark.long
def test_a_dead_engine_ends_its_server(vllm: VllmEngine, tmp_path: Path) -> None:
    with started(vllm.launch("smollm2"), tmp_path / "log") as server:
        server.wait_until_healthy(LOAD_S)
        family = server.family()
        (core,) = [child for child in named(server) if "EngineCore" in child.name()]
        os.kill(core.pid, signal.SIGKILL)
        until(lambda: unwell(server), deadline_s=30)
        server.process.wait(60)
        until(lambda: ended(family), deadline_s=20)


def named(server: Server) -> list[psutil.Process]:
    assert server.process.poll() is None, server.log.read_text()[-3000:]
    return [child for child in server.family() if child.is_running()]


def unwell(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/health").status_code == 503
    except httpx.TransportError:
        return True  # it is gone already
