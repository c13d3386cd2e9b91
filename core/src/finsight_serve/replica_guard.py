"""Keeps a replica's own port from bypassing API keys: an ASGI middleware that both engines put around their app."""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from .plugin import KEY_HASHES_ENV

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def guard(app: App) -> App:
    """`app` behind the keys whose hashes the environment names; `app` itself where it names none.

    Raises `ValueError` if the environment holds anything but hashes: a misspelt one must not open the door.
    """
    accepted = os.environ.get(KEY_HASHES_ENV, "")
    return ReplicaGuard(app, accepted.split(",")) if accepted else app


class ReplicaGuard:
    """Passes on what carries `Authorization: Bearer KEY` with an accepted key, and GET /health; else 401."""

    def __init__(self, app: App, key_sha256: list[str]) -> None:
        self.app = app
        self.accepted = [digest.strip().lower().encode() for digest in key_sha256]
        if not all(re.fullmatch(rb"[0-9a-f]{64}", digest) for digest in self.accepted):
            raise ValueError(f"{KEY_HASHES_ENV} must hold SHA-256 digests in hex, separated by commas")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self.admits(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await refuse(send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "no valid key"})

    def admits(self, scope: Scope) -> bool:
        if scope.get("method") == "GET" and scope["path"] == "/health":
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        digest = hashlib.sha256(key.strip()).hexdigest().encode()
        matches = [hmac.compare_digest(digest, accepted) for accepted in self.accepted]  # all, so time tells nothing
        return scheme.lower() == b"bearer" and any(matches)


async def refuse(send: Send) -> None:
    error = {
        "message": "This replica takes requests from its load balancer only.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
