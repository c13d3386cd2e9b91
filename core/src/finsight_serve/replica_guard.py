"""Keeps a replica's own port from bypassing API keys: an ASGI middleware that both engines put around their app."""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from .plugin import KEY_HASHES_ENV, METRICS_KEY_ENV, OPEN_METRICS_ENV

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


MOST_KEYS = 64
"""Of one request: each costs a hash."""


def guard(app: App) -> App:
    """`app` behind the keys whose hashes the environment names; `app` itself where it names none.

    Raises `ValueError` if the environment holds anything but hashes: a misspelt one must not open the door.
    """
    accepted = os.environ.get(KEY_HASHES_ENV, "")
    if not accepted:
        return app
    metrics_key = os.environ.get(METRICS_KEY_ENV, "")
    metrics_key_sha256 = hashlib.sha256(metrics_key.encode()).hexdigest() if metrics_key else ""
    open_metrics = os.environ.get(OPEN_METRICS_ENV) == "1"
    return ReplicaGuard(app, accepted.split(","), metrics_key_sha256=metrics_key_sha256, open_metrics=open_metrics)


class ReplicaGuard:
    """Passes on what carries `Authorization: Bearer KEY` with an accepted key, and GET /health; else 401.

    Whoever can't know which deployment will answer brings the keys of several, separated by commas.
    GET /metrics has a key of its own where Prometheus may not hold the others, or is open.
    """

    def __init__(
        self, app: App, key_sha256: list[str], *, metrics_key_sha256: str = "", open_metrics: bool = False
    ) -> None:
        self.app = app
        self.accepted = [digest.strip().lower().encode() for digest in key_sha256]
        self.for_metrics = [*self.accepted, metrics_key_sha256.encode()] if metrics_key_sha256 else self.accepted
        self.open_paths = ("/health", "/metrics") if open_metrics else ("/health",)
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
        is_get = scope.get("method") == "GET"
        if is_get and scope["path"] in self.open_paths:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        given_keys = key.strip().split(b",")
        if scheme.lower() != b"bearer" or len(given_keys) > MOST_KEYS:
            return False
        digests = [hashlib.sha256(one).hexdigest().encode() for one in given_keys]
        keys = self.for_metrics if is_get and scope["path"] == "/metrics" else self.accepted
        # all of them, so that the time it takes tells nothing
        matches = [hmac.compare_digest(digest, accepted) for digest in digests for accepted in keys]
        return any(matches)


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
