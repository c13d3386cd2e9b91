"""The smallest engine: an ASGI app made by a factory. Ray hosts it, so it stands in a module of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Toy:
    def __init__(self, label: str) -> None:
        self.label, self.started, self.healthy = label, False, True

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        if scope["path"] == "/health":
            await reply(send, 200 if self.started and self.healthy else 503, {})
        elif scope["path"] == "/v1/sicken":
            self.healthy = False
            await reply(send, 200, {})
        elif scope["path"] == "/v1/stream":
            await self.stream(int(scope["query_string"] or 10), send)
        else:
            seen = {"pid": os.getpid(), "label": self.label, "path": scope["path"], "root_path": scope["root_path"]}
            await reply(send, 200, seen | {"gpu": os.environ.get("TOY", "")})

    async def live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.started = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def stream(self, chunks: int, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(chunks):
            await send({"type": "http.response.body", "body": f"data: {number}\n\n".encode(), "more_body": True})
            await asyncio.sleep(0.1)  # the pace of the stream, so that something can happen while it is open
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def reply(send: Send, status: int, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def build(argv: Sequence[str]) -> Toy:
    return Toy(argv[0])


async def build_broken(argv: Sequence[str]) -> Toy:
    print("loading 1 of 2 shards", file=sys.stderr, flush=True)
    raise RuntimeError(f"the weights of {argv[0]} are cut short")
