import json
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.anyio
CHAT = {"model": "sim", "messages": [{"role": "user", "content": "one two"}]}


def events(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_chat_repeats_the_last_message_to_the_length_asked_for(connect):
    async with connect() as client:
        answer = (await client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 5})).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "one two one two one"}
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7}


@pytest.mark.parametrize(
    ("path", "question", "prefix"),
    [("chat/completions", CHAT, "chatcmpl-"), ("completions", {"model": "sim", "prompt": "a"}, "cmpl-")],
)
async def test_an_answer_bears_the_id_that_it_was_asked_by(connect, path, question, prefix):
    async with connect() as client:
        named = await client.post(f"/v1/{path}", json=question, headers={"X-Request-Id": "abc"})
        first, second = [(await client.post(f"/v1/{path}", json=question)).json()["id"] for _ in range(2)]
    assert named.json()["id"] == f"{prefix}abc"
    assert first != second and first.startswith(prefix)


async def test_an_answer_without_max_tokens_stops_by_itself(connect):
    async with connect(output_tokens=3) as client:
        answer = (await client.post("/v1/completions", json={"model": "sim", "prompt": "a b"})).json()
    assert answer["choices"][0]["text"] == "a b a"
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("tokens", [1, 64, 65, 200])
async def test_a_stream_has_one_event_per_token_and_says_the_same(connect, tokens):
    question = {**CHAT, "max_tokens": tokens}
    async with connect() as client:
        whole = (await client.post("/v1/chat/completions", json=question)).json()
        response = await client.post("/v1/chat/completions", json={**question, "stream": True})
    first, *parts, last = [event["choices"][0] for event in events(response)]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert len(parts) == tokens
    assert "".join(part["delta"]["content"] for part in parts) == whole["choices"][0]["message"]["content"]
    assert (last["delta"], last["finish_reason"]) == ({}, "length")


async def test_usage_comes_last_in_a_stream_that_asked_for_it(connect):
    question = {"model": "sim", "prompt": 'say "ü"', "max_tokens": 2, "stream": True}
    async with connect() as client:
        response = await client.post("/v1/completions", json={**question, "stream_options": {"include_usage": True}})
    *parts, usage = events(response)
    assert "".join(part["choices"][0]["text"] for part in parts) == 'say "ü"'
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"model": "sim"}', 400, "messages"),
        (b'{"model": "sim", "messages": []}', 400, "messages"),
        (b'{"model": "sim", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}', 400, "max_tokens"),
        (b'{"model": "sim", "messages": [{"role": "user", "content": "x"}], "n": 2}', 400, "n"),
        (b'{"model": "other", "messages": [{"role": "user", "content": "x"}]}', 404, "model"),
    ],
)
async def test_bad_requests_are_answered_in_openais_shape(connect, body, status, param):
    async with connect() as client:
        response = await client.post("/v1/chat/completions", content=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] == param


async def test_unknown_paths_and_methods(connect):
    async with connect() as client:
        assert (await client.get("/v1/nothing")).status_code == 404
        assert (await client.get("/v1/chat/completions")).status_code == 405
        assert (await client.get("/health")).status_code == 200
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["sim"]


async def test_metrics_count_under_vllms_names(connect):
    async with connect() as client:
        await client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 7})
        text = (await client.get("/metrics")).text
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels == {"model_name": "sim"}
    }
    assert samples["vllm:generation_tokens_total"] == 7
    assert samples["vllm:num_requests_running"] == 0
    assert samples["vllm:num_requests_waiting"] == 0
    assert samples["vllm:time_to_first_token_seconds_count"] == 1


async def test_a_name_of_the_users_choice_is_served_in_place_of_the_models(connect):
    async with connect(served_model_name="chat") as client:
        assert (await client.post("/v1/chat/completions", json={**CHAT, "model": "chat"})).json()["model"] == "chat"
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 404
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["chat"]
        assert 'model_name="chat"' in (await client.get("/metrics")).text
