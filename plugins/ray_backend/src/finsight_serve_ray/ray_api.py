"""The replica that Ray hosts: any engine's ASGI app, unchanged. The only module that imports ray.

On an attached cluster this distribution and the engine's must be installed on its nodes as well.
"""

import importlib
import os
from typing import Any, cast

import httpx
from ray import serve
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .application import PREFIX_ENV

# Serve wants a route prefix of its own from every application and a replica's port answers only below it, but
# clients say "/v1/…". So the prefix is put on before Serve looks at the path, and taken off before the engine does.


class AddPrefix:
    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self.prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root: str = scope.get("root_path", "")
        path: str = scope.get("path", "")[len(root) :]
        if not path.startswith("/-/"):  # Serve's own /-/healthz and /-/routes
            scope = {**scope, "path": root + self.prefix + path, "raw_path": (root + self.prefix + path).encode()}
        await self.app(scope, receive, send)


class RemovePrefix:
    """Serve has made the prefix part of the root path by then."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            path: str = scope["path"].removeprefix(scope.get("root_path", ""))
            scope = {**scope, "root_path": "", "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """Called by Serve in each replica, whose environment names it (`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`)."""
    return [Middleware(AddPrefix, prefix=os.environ[PREFIX_ENV])]


@serve.deployment
@serve.ingress()  # no app: `__serve_build_asgi_app__` makes it when the replica starts
class EngineReplica:
    def __init__(self, asgi: str, argv: list[str]) -> None:
        self.asgi, self.argv = asgi, tuple(argv)
        self.evict: frozenset[str] = frozenset()
        self.engine: ASGIApp | None = None

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        module, _, name = self.asgi.partition(":")
        self.engine = await getattr(importlib.import_module(module), name)(self.argv)
        return RemovePrefix(self.engine)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        self.evict = frozenset(user_config["evict"])

    async def check_health(self) -> None:
        """Raises if this replica must go; Serve replaces it after three failures in a row."""
        if serve.get_replica_context().replica_id.unique_id in self.evict:
            raise RuntimeError("evicted")
        assert self.engine is not None
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.engine), base_url="http://replica") as client:
            (await client.get("/health")).raise_for_status()


def application(args: dict[str, Any]) -> serve.Application:
    """What Serve builds from the `args` of a rendered application."""
    deployment = cast(Any, EngineReplica)  # the decorators' types are not declared
    return cast(serve.Application, deployment.bind(args["asgi"], args["argv"]))
