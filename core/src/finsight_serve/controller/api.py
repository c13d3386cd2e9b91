"""The controller's own HTTP, on a unix socket in the state folder (mode 0700): status and intents."""

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import uvicorn
from anyio.to_thread import run_sync
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .facts import Intent
from .status import Status
from .wire import parse_intent

_STATUS = TypeAdapter(Status)


def build_api(
    status: Callable[[], Status],
    is_ready: Callable[[], bool],
    is_settled: Callable[[], bool],
    intend: Callable[[Intent], Awaitable[str]],
    more: Sequence[Route] = (),
) -> Starlette:
    """`intend` returns why it was refused, or ""."""

    async def get_status(_: Request) -> Response:
        return Response(_STATUS.dump_json(await run_sync(status)), media_type="application/json")

    async def get_ready(_: Request) -> JSONResponse:
        return JSONResponse({"ready": is_ready(), "settled": is_settled()})

    async def post_intent(request: Request) -> JSONResponse:
        refused = await intend(parse_intent(await request.body()))
        return JSONResponse({"refused": refused}, status_code=409 if refused else 202)

    return Starlette(
        routes=[
            Route("/status", get_status),
            Route("/ready", get_ready),
            Route("/intents", post_intent, methods=["POST"]),
            *more,
        ]
    )


class _Server(uvicorn.Server):
    """Signals belong to the controller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_api(app: Starlette, path: Path) -> None:
    """Runs until cancelled. A socket left by a killed controller is replaced: the lease says that none runs."""
    await serve(app, _listen(path))


async def serve(app: Starlette, listener: socket.socket, *, limit_concurrency: int | None = None) -> None:
    """Runs until cancelled, and closes the listener. Over the limit a request is answered 503."""
    with listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            access_log=False,
            limit_concurrency=limit_concurrency,
            http="h11",  # the other one, where it is installed, takes headers of any size
        )
        server = _Server(config)
        try:
            await server.serve(sockets=[listener])
        finally:  # cancelled, uvicorn leaves its listeners in the loop, where the next one with the same number trips
            for one in getattr(server, "servers", ()):
                one.close()


def _listen(path: Path) -> socket.socket:
    """For this user alone, also where the folder is open to others."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener
