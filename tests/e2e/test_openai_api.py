"""What a client of the endpoint meets: OpenAI's own client, unmodified, through the real load balancer."""

import json
from collections.abc import Iterator
from contextlib import closing

import httpx
import openai
import pytest

from .printed import send_printed
from .stand import MODEL, Stand
from .waiting import wait_until

QUESTION = [{"role": "user", "content": "one two three"}]
TEN_MB = 10 * 10**6


@pytest.fixture(scope="module")
def served() -> Iterator[Stand]:
    with closing(Stand()) as stand:
        stand.write(engine_options={"token_interval_s": 0.01})
        stand.serve()
        yield stand


def test_chat(served: Stand) -> None:
    answer = served.client().chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=5)
    assert answer.choices[0].message.content == "one two three one two"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage and answer.usage.completion_tokens == 5


def test_a_request_has_one_id_from_the_client_to_the_engine(served: Stand) -> None:
    raw = served.client().chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, max_tokens=1)
    assert raw.parse().id == f"chatcmpl-{raw.headers['x-request-id']}"


def test_completions(served: Stand) -> None:
    answer = served.client().completions.create(model=MODEL, prompt="one two", max_tokens=2)
    assert answer.choices[0].text.split() == ["one", "two"]


def test_a_stream_comes_token_by_token(served: Stand) -> None:
    chunks = list(served.client().chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=8, stream=True))
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(texts) == 8
    assert chunks[-1].choices[0].finish_reason == "length"
    assert all(chunk.usage is None for chunk in chunks)


def test_include_usage_adds_a_last_chunk(served: Stand) -> None:
    chunks = list(
        served.client().chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=4, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == [] and chunks[-1].usage and chunks[-1].usage.completion_tokens == 4


def test_model_list(served: Stand) -> None:
    assert [model.id for model in served.client().models.list()] == [MODEL]


def test_unknown_model(served: Stand) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        served.client().chat.completions.create(model="nope", messages=QUESTION)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("key", ["wrong", "fs-" + "A" * 43])
def test_a_bad_key(served: Stand, key: str) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        served.client(key=key).models.list()
    assert caught.value.code == "invalid_api_key"


def test_a_tenant_header_is_no_key(served: Stand) -> None:
    answer = httpx.get(f"{served.url}/v1/models", headers={"X-Tenant": "default"}, trust_env=False)
    assert answer.status_code == 401


def test_malformed_json(served: Stand) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        served.client().post("/chat/completions", content=b'{"model": nope', cast_to=object)
    assert caught.value.body


def test_a_body_of_10_mb(served: Stand) -> None:
    huge = [{"role": "user", "content": "x" * TEN_MB}]
    with pytest.raises(openai.APIStatusError) as caught:
        served.client().chat.completions.create(model=MODEL, messages=huge)
    assert caught.value.status_code == 413
    assert caught.value.code == "request_too_large"


def test_a_path_that_is_not_served(served: Stand) -> None:
    with pytest.raises(openai.NotFoundError):
        served.client().get("/nothing/here", cast_to=object)
    answer = httpx.get(f"{served.url}/admin", trust_env=False)
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


def test_a_client_that_leaves_midway_leaves_nothing_open(served: Stand) -> None:
    stream = served.client().chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=5000, stream=True)
    next(iter(stream))
    wait_until(lambda: _open(served) >= (1, 1), 60, "the stream shows in fs status")
    stream.response.close()
    wait_until(lambda: _open(served) == (0, 0), 60, "load balancer and engine have dropped it")


def _open(stand: Stand) -> tuple[int, float]:
    status = stand.seen()
    return status.tenants[0].open_requests or 0, status.deployments[0].running or 0


def test_the_printed_curl_line_streams(served: Stand) -> None:
    events = send_printed(served.serving.output)
    assert events[-1] == "data: [DONE]"
    first = json.loads(events[0].removeprefix("data: "))
    assert first["object"] == "chat.completion.chunk" and len(events) > 5


def test_without_curl_the_same_request_is_sent(served: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.e2e.printed.which", lambda program: None)
    assert send_printed(served.serving.output)[-1] == "data: [DONE]"


def test_a_replicas_own_port_bypasses_no_key(served: Stand) -> None:
    (address,) = served.replicas().values()
    for headers in ({}, {"Authorization": f"Bearer {served.keys['default']}"}):
        answer = httpx.get(f"http://{address}/v1/models", headers=headers, trust_env=False)
        assert answer.status_code == 401


def test_rotating_a_key_ends_the_old_one(served: Stand) -> None:
    old = served.keys["default"]
    done = served.fs("tenant", "rotate", "default", "--grace", "0s")
    assert done.returncode == 0, done.stderr
    served.keys["default"] = done.stdout.strip()
    wait_until(lambda: _status_for(served, served.keys["default"]) == 200, 60, "the new key is let in")
    assert _status_for(served, old) == 401


def _status_for(stand: Stand, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{stand.url}/v1/models", headers=headers, trust_env=False).status_code


def test_rotating_the_key_of_nobody(served: Stand) -> None:
    done = served.fs("tenant", "rotate", "nobody")
    assert done.returncode == 2
    assert done.stderr == "fs: tenant nobody: not in this stack; it has default\n"
