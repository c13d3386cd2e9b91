import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from finsight_serve.host import Host
from finsight_serve.one_token_probe import judge
from finsight_serve.plugin import HealthProbe, Replica, Verdict
from finsight_serve.testing import find_free_port, make_env, wait_for

GOOD = {"choices": [{"text": " Hi"}], "usage": {"completion_tokens": 1}}
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.anyio


def make_probe(folder: Path, timeout_s: float = 10.0) -> HealthProbe:
    return Host().build("health_probe", "one-token", {"timeout_s": timeout_s}, make_env(folder))


async def ask(folder: Path, port: int, timeout_s: float = 10.0) -> Verdict:
    replica = Replica("r1", "chat", f"127.0.0.1:{port}", "ready")
    return await make_probe(folder, timeout_s).probe(replica, "toy", "secret")


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[int]:
    """The port of a server that does with each connection whatever `peer` does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            await peer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_asks_an_openai_server_for_one_token_with_the_key(tmp_path: Path) -> None:
    seen: list[tuple[str | None, object]] = []

    async def complete(request: Request) -> Response:
        seen.append((request.headers.get("authorization"), await request.json()))
        return JSONResponse(GOOD)

    app = Starlette(routes=[Route("/v1/completions", complete, methods=["POST"])])
    port = find_free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    serving = asyncio.create_task(server.serve())
    try:
        await wait_for(lambda: server.started)
        assert await ask(tmp_path, port) == "ok"
    finally:
        server.should_exit = True
        await serving
    ((authorization, body),) = seen
    assert authorization == "Bearer secret"
    assert isinstance(body, dict)
    assert (body["model"], body["max_tokens"], body["stream"]) == ("toy", 1, False)


async def test_nobody_listens(tmp_path: Path) -> None:
    assert await ask(tmp_path, find_free_port()) == "refused"


async def test_connection_is_reset(tmp_path: Path) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with listening(reset) as port:
        assert await ask(tmp_path, port) == "refused"


async def test_no_answer_within_the_deadline(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with listening(hang) as port:
        assert await ask(tmp_path, port, timeout_s=0.1) == "timeout"


async def test_a_byte_now_and_then_does_not_stretch_the_deadline(tmp_path: Path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await anyio.sleep(0.01)  # the pace of the drip, which goes on until the probe gives up

    async with listening(drip) as port:
        assert await ask(tmp_path, port, timeout_s=0.2) == "timeout"


async def test_an_answer_that_is_not_http(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        await reader.read(-1)

    async with listening(babble) as port:
        assert await ask(tmp_path, port) == "wrong"


def answer(status: int, body: object) -> httpx.Response:
    return httpx.Response(status, text=body if isinstance(body, str) else json.dumps(body))


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (answer(200, GOOD), "ok"),
        (answer(429, {"error": {}}), "saturated"),
        (answer(503, "busy"), "saturated"),
        (answer(500, GOOD), "wrong"),
        (answer(401, {"error": {}}), "wrong"),
        (answer(307, ""), "wrong"),
        (answer(200, "<html>"), "wrong"),
        (answer(200, ""), "wrong"),
        (answer(200, []), "wrong"),
        (answer(200, "null"), "wrong"),
        (answer(200, {"choices": []}), "wrong"),
        (answer(200, GOOD | {"choices": []}), "wrong"),
        (answer(200, GOOD | {"choices": {}}), "wrong"),
        (answer(200, GOOD | {"usage": {"completion_tokens": 0}}), "wrong"),
        (answer(200, GOOD | {"usage": {"completion_tokens": None}}), "wrong"),
        (answer(200, {"choices": [{"text": ""}]}), "wrong"),
    ],
)
async def test_what_an_answer_says(response: httpx.Response, verdict: Verdict) -> None:
    assert judge(response) == verdict


async def test_its_options() -> None:
    host = Host()
    assert host.options("health_probe", "one-token", {}).model_dump() == {"timeout_s": 10.0}
    for bad in ({"timeout_s": 0}, {"timeout": 1}):
        with pytest.raises(ValidationError):
            host.options("health_probe", "one-token", bad)
