"""What a client meets at the endpoint: streams, errors in OpenAI's shape, limits, and nothing but the API."""

from typing import Any

import anyio
import httpx
import openai
import pytest

from finsight_serve.testing.waiting import wait_for

from .edge import UPSTREAM_KEY, Edge, route
from .upstream import Held, completion, says, whole_stream

pytestmark = pytest.mark.anyio

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def code(error: openai.APIStatusError) -> tuple[int, str, bool]:
    """Status, OpenAI's error code, and whether the client is told when to try again."""
    return error.status_code, str(error.code), "retry-after" in error.response.headers


async def refusal(edge: Edge, key: str = "sk-desk", **more: Any) -> openai.APIStatusError:
    async with edge.client(key) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(**{**ASK, **more})
    body = caught.value.response.json()
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert caught.value.response.headers["content-type"] == "application/json"
    assert len(caught.value.response.headers["x-request-id"]) == 32
    return caught.value


async def test_an_answer_passes_and_only_what_a_replica_needs_reaches_it(edge: Edge) -> None:
    replica = await edge.upstream(says(200, completion(), "X-Request-Id: of-the-engine"))
    await edge.apply()
    async with edge.client() as client:
        answer = await client.chat.completions.create(
            **ASK,
            extra_headers={"X-Tenant": "root", "X-Finsight-Tenant": "root", "X-Request-Id": "mine", "Cookie": "a"},
        )
    assert answer.choices[0].message.content == "Paris"
    seen = replica.seen[0]
    assert (seen.method, seen.target) == ("POST", "/v1/chat/completions")
    assert seen.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert not seen.headers.keys() & {"x-tenant", "cookie"}
    assert seen.headers["x-finsight-tenant"] == "desk"
    assert len(seen.headers["x-request-id"]) == 32
    assert answer._request_id == seen.headers["x-request-id"]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("parent", "state", "passed"),
    [
        (TRACE, "vendor=1,other=2", {"traceparent": TRACE, "tracestate": "vendor=1,other=2"}),
        (TRACE, "", {"traceparent": TRACE}),
        (TRACE, "v" * 513, {"traceparent": TRACE}),
        ("", "vendor=1", {}),
        (TRACE.upper(), "vendor=1", {}),
        (TRACE + "-more", "vendor=1", {}),
        (f"ff{TRACE[2:]}", "vendor=1", {}),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", "vendor=1", {}),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", "vendor=1", {}),
        ("x" * 4000, "vendor=1", {}),
    ],
)
async def test_a_trace_goes_on_where_it_is_well_formed(
    edge: Edge, parent: str, state: str, passed: dict[str, str]
) -> None:
    replica = await edge.upstream(says(200, completion()))
    await edge.apply()
    async with edge.client() as client:
        await client.chat.completions.create(**ASK, extra_headers={"Traceparent": parent, "Tracestate": state})
    seen = replica.seen[0].headers
    assert {name: seen[name] for name in ("traceparent", "tracestate") if name in seen} == passed


async def test_the_first_event_arrives_before_the_last_is_sent(edge: Edge) -> None:
    held = Held()
    await edge.upstream(held)
    await edge.apply()
    with anyio.fail_after(60):
        async with edge.client() as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            words = [(await anext(stream)).choices[0].delta.content]
            held.go.set()
            words += [one.choices[0].delta.content async for one in stream]
    assert words == ["first", "last"]


@pytest.mark.parametrize("key", [None, "unknown", "Basic abc", ""])
async def test_without_a_known_key_401(edge: Edge, key: str | None) -> None:
    replica = await edge.upstream(says(200, completion()))
    await edge.apply()
    answer = await edge.get(key=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert isinstance(await refusal(edge, "other"), openai.AuthenticationError)
    assert replica.seen == []


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/metrics", "/docs", "//metrics", "/metrics?x=/v1/", "/metrics#/../v1/models", "/errors/limited"),
        *("/v1/../metrics", "/v1/%2e%2e/metrics", "/v1/..%2fmetrics", "/v1/x/../../docs"),
    ],
)
async def test_nothing_but_the_api_is_reachable(edge: Edge, path: str) -> None:
    replica = await edge.upstream(says(200, "leaked"))
    await edge.apply()
    host, port = edge.plugin.url.removeprefix("http://").split(":")
    async with await anyio.connect_tcp(host, int(port)) as raw:  # no client tidies up the path on the way
        await raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-desk\r\n\r\n".encode())
        answer = await raw.receive()
    assert answer.startswith(b"HTTP/1.1 404") and b'"not_found"' in answer
    assert replica.seen == []


async def test_the_endpoints_own_health_needs_no_key(edge: Edge) -> None:
    await edge.apply()
    answer = await edge.get("/health", key=None)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *(("Bearer sk-desk", 200), ("bearer sk-desk", 200), ("BEARER   sk-desk", 200)),
        *(("Bearersk-desk", 401), ("Bearer sk-desk x", 401), ("Bearer", 401), ("sk-desk", 401)),
    ],
)
async def test_how_a_key_may_be_written(edge: Edge, value: str, status: int) -> None:
    await edge.upstream(says(200, completion()))
    await edge.apply()
    assert (await edge.get(key=None, headers={"Authorization": value})).status_code == status


async def test_no_weight_and_no_ready_replica_are_503(edge: Edge) -> None:
    replica = await edge.upstream(says(200, completion()))
    await edge.apply(route(weights={}), route("other", "sk-2", {"gone": 100}), chat=[replica])
    for key in ("sk-desk", "sk-2"):
        error = await refusal(edge, key)
        assert isinstance(error, openai.InternalServerError)
        assert code(error) == (503, "service_unavailable", True)


async def test_over_the_limit_429_for_this_tenant_alone(edge: Edge) -> None:
    held = Held()
    await edge.upstream(held)
    await edge.apply(route(limit=2), route("other", "sk-2", limit=2))
    async with edge.stream(), edge.stream():
        error = await refusal(edge)
        assert isinstance(error, openai.RateLimitError)
        assert code(error) == (429, "rate_limit_exceeded", True)
        async with edge.stream("sk-2") as other:
            assert other.status_code == 200
        held.go.set()
    await wait_for(lambda: _is_admitted(edge), what="room after the streams have ended")


async def _is_admitted(edge: Edge) -> bool:
    return (await edge.get()).status_code == 200


async def test_a_refused_request_takes_no_room(edge: Edge) -> None:
    held = Held()
    await edge.upstream(held)
    await edge.apply(route(limit=1))
    async with edge.stream():
        for _ in range(5):
            await refusal(edge)
        assert len(await edge.open()) == 1
        held.go.set()
    await wait_for(lambda: _is_admitted(edge), what="room after the stream has ended")


async def test_ten_megabytes_are_413(edge: Edge) -> None:
    replica = await edge.upstream(says(200, completion()))
    await edge.apply()
    error = await refusal(edge, messages=[{"role": "user", "content": "x" * 10_000_000}])
    assert code(error) == (413, "request_too_large", False)

    async def chunks() -> Any:  # no length is announced
        for _ in range(10):
            yield b"x" * 1_000_000

    async with edge.http() as http:
        try:
            status = (await http.post("/v1/chat/completions", content=chunks())).status_code
        except httpx.WriteError:  # nginx has answered and hung up while the client was still sending
            status = 413
    assert status == 413
    assert replica.seen == []


async def test_seven_megabytes_pass(edge: Edge) -> None:
    replica = await edge.upstream(says(200, completion()))
    await edge.apply()
    async with edge.client() as client:
        await client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": "x" * 7_000_000}]})
    assert len(replica.seen[0].body) > 7_000_000


@pytest.mark.parametrize(("status", "raised"), [(400, openai.BadRequestError), (404, openai.NotFoundError)])
async def test_the_engines_own_errors_pass_untouched(edge: Edge, status: int, raised: type[Exception]) -> None:
    theirs = {"error": {"message": "theirs", "type": "BadRequestError", "param": "model", "code": "theirs"}}
    await edge.upstream(says(status, theirs))
    await edge.apply()
    error = await refusal(edge)
    assert isinstance(error, raised)
    assert error.response.json() == theirs


async def test_a_replica_that_refuses_our_key_is_no_matter_of_the_client(edge: Edge) -> None:
    await edge.upstream(says(401, {"error": {}}))
    await edge.apply()
    assert code(await refusal(edge)) == (503, "service_unavailable", True)


async def test_nasty_names_work(edge: Edge) -> None:
    replica = await edge.upstream(says(200, "ok"))
    name = 'default "$host"; } # \\ ü'
    await edge.apply(route(name, weights={name: 100}, limit=5), **{name: [replica]})
    assert (await edge.get()).json() == "ok"
    [row] = await edge.rows(1)
    assert (row.tenant, row.deployment, row.outcome) == (name, name, "complete")


async def test_no_prompt_and_no_key_reaches_the_disk(edge: Edge) -> None:
    canary, secret = "CANARY-9b1d", "sk-canary-77"
    echo = await edge.upstream(says(200, completion(canary)))
    await edge.apply(route(key=secret))
    async with edge.client(secret) as client:
        await client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": canary * 100_000}]})
    echo.answer = whole_stream
    await edge.get(f"/v1/models?prompt={canary}", key=secret, headers={"Referer": canary, "X-Session-Id": canary})
    await echo.stop()
    assert (await edge.get(f"/v1/models?prompt={canary}", key=secret, headers={"Referer": canary})).status_code == 502
    assert (await edge.get(f"/elsewhere/?prompt={canary}", key=canary)).status_code == 404
    await edge.rows(3)
    files = [path for path in edge.state_dir.rglob("*") if path.is_file()]
    assert {"current.log", "error.log", "nginx.conf"} <= {path.name for path in files}
    assert [
        path for path in files if canary.encode() in path.read_bytes() or secret.encode() in path.read_bytes()
    ] == []
    keyed = [path for path in files if UPSTREAM_KEY.encode() in path.read_bytes()]
    assert {path.name for path in keyed} == {"upstream_keys.conf"}
    assert {path.stat().st_mode & 0o777 for path in keyed} == {0o600}
