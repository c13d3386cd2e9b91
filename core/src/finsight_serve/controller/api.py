"""The controller's own HTTP, on a unix socket in the state folder (mode 0700): status and intents."""

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn
from anyio.to_thread import run_sync
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .facts import Fact, StackAmended, StopAsked, TenantKeyIssued
from .status import Status

SOCKET_NAME = "controller.sock"
LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes

_STATUS = TypeAdapter(Status)
Intent = StackAmended | StopAsked | TenantKeyIssued
_INTENTS: TypeAdapter[Intent] = TypeAdapter(Intent)


def intent_json(fact: Intent) -> bytes:
    return _INTENTS.dump_json(fact)


def socket_path(folder: Path) -> Path:
    """Raises `ValueError` where the folder's path is too long for a unix socket."""
    path = folder / SOCKET_NAME
    if len(str(path).encode()) > LONGEST_SOCKET_PATH:
        raise ValueError(f"{folder}: the path is too long for a unix socket; choose a shorter --state DIR")
    return path


def build_api(
    status: Callable[[], Status],
    is_ready: Callable[[], bool],
    is_settled: Callable[[], bool],
    intend: Callable[[Fact], Awaitable[None]],
) -> Starlette:
    async def get_status(_: Request) -> Response:
        return Response(_STATUS.dump_json(await run_sync(status)), media_type="application/json")

    async def get_ready(_: Request) -> JSONResponse:
        return JSONResponse({"ready": is_ready(), "settled": is_settled()})

    async def post_intent(request: Request) -> JSONResponse:
        await intend(_INTENTS.validate_json(await request.body()))
        return JSONResponse({"taken": True}, status_code=202)

    return Starlette(
        routes=[
            Route("/status", get_status),
            Route("/ready", get_ready),
            Route("/intents", post_intent, methods=["POST"]),
        ]
    )


class _Server(uvicorn.Server):
    """Signals belong to the controller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_api(app: Starlette, path: Path) -> None:
    """Runs until cancelled. A socket left by a killed controller is replaced: the lease says that none runs."""
    with _listen(path) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
        await _Server(config).serve(sockets=[listener])


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
