"""The conformance kit's engine: an app that says which process answered.

As a process: `python -m finsight_serve.testing.echo HOST PORT`. In a host's process: `await build(())`.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

from ..plugin import KEY_HASHES_ENV, Launch
from ..replica_guard import App, Receive, Scope, Send, guard

_MODULE = "finsight_serve.testing.echo"
VERSION_ENV = "FINSIGHT_ECHO_VERSION"
FAIL_ENV = "FINSIGHT_ECHO_FAIL"
"""Set to a message, the engine ends with it instead of starting."""


def echo_launch(*keys: str, env: Mapping[str, str] | None = None) -> Launch:
    """Replicas that accept `keys` and answer any POST under /v1/ with `{"pid": …, "version": …}`.

    The body `{"hold": true}` makes the answer a stream that ends with the client.
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
    else:
        await _send_json(send, {"pid": os.getpid(), "version": os.environ.get(VERSION_ENV, "")})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _read_json(receive: Receive) -> dict[str, object]:
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


async def _hold(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
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
