"""The conformance kit's engine: an app that says which process answered.

As a process: `python -m finsight_serve.testing.echo HOST PORT`. In a host's process: `await build(())`.
"""

import asyncio
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..plugin import KEY_HASHES_ENV, Launch
from ..replica_guard import App, Receive, Scope, Send, guard

_MODULE = "finsight_serve.testing.echo"
STREAM_HEADERS = [(b"content-type", b"text/event-stream")]
VERSION_ENV = "FINSIGHT_ECHO_VERSION"
FAIL_ENV = "FINSIGHT_ECHO_FAIL"
"""Set to a message, the engine ends with it instead of starting."""
PROCESS = secrets.token_hex(8)
"""Tells this process from every other one, also from one with its pid in another container."""


def echo_launch(*keys: str, env: Mapping[str, str] | None = None) -> Launch:
    """Replicas that accept `keys` and answer any POST under /v1/ with
    `{"pid": …, "process": …, "version": …}`; `process` is another one after each start.

    The body `{"hold": true}` makes the answer a stream that ends with the client, `{"chunks": N}` one of N chunks of
    text and the terminal event, `{"every_s": S}` apart. `{"usage": {…}}` is sent back as the answer's own usage.
    """
    hashes = ",".join(hashlib.sha256(key.encode()).hexdigest() for key in keys)
    return Launch(
        argv=(sys.executable, "-m", _MODULE, "{host}", "{port}"),
        asgi=f"{_MODULE}:build",
        env={KEY_HASHES_ENV: hashes, **(env or {})},
        num_cpus=0.1,
    )


async def build(argv: Sequence[str]) -> App:
    if message := os.environ.get(FAIL_ENV):
        raise RuntimeError(message)
    return guard(answer)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["path"] == "/health":
        await _send_json(send, {"status": "ok"})
        return
    request = await _read_json(receive)
    if request.get("hold"):
        await _hold(receive, send)
    elif "chunks" in request:
        await _stream(send, request)
    else:
        usage = {"usage": request["usage"]} if "usage" in request else {}
        who = {"pid": os.getpid(), "process": PROCESS, "version": os.environ.get(VERSION_ENV, "")}
        await _send_json(send, {**who, **usage})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _read_json(receive: Receive) -> dict[str, Any]:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return json.loads(body) if body else {}


async def _send_json(send: Send, body: object) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def _stream(send: Send, request: Mapping[str, Any]) -> None:
    """As engines do: who speaks, the text, the usage if there is one, and the end."""
    events: list[Mapping[str, Any]] = [{"choices": [{"delta": {"role": "assistant", "content": ""}}]}]
    events += [{"choices": [{"delta": {"content": "word "}}]}] * int(request["chunks"])
    events += [{"choices": [], "usage": request["usage"]}] if "usage" in request else []
    await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
    for event in (*map(json.dumps, events), "[DONE]"):
        await asyncio.sleep(request.get("every_s", 0))
        await send({"type": "http.response.body", "body": f"data: {event}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _hold(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
    await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def serve(host: str, port: int) -> None:
    import uvicorn

    app = await build(())
    await uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_keep_alive=75)).serve()


if __name__ == "__main__":
    try:
        asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
    except RuntimeError as error:
        sys.exit(str(error))
