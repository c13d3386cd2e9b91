"""What the running nginx says over its unix socket."""

import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from .options import LONGEST_SOCKET_PATH


@dataclass(frozen=True)
class Open:
    """A request that was let through and has not ended."""

    id: str
    tenant: str  # encoded, as everywhere inside nginx
    deployment: str
    pid: int  # of the worker that serves it
    started_s: float
    route_version: int = 0
    held_by: str = ""  # the deployment whose room it takes up
    counted_out: bool = False  # its client has the whole answer, and it is no longer counted against the limit


class Control:
    """Every call takes a new connection, so that the newest worker answers. Raises `ControlError`."""

    def __init__(self, socket: Path, timeout_s: float = 5.0) -> None:
        self._socket, self._timeout_s = socket, timeout_s

    async def version(self) -> str:
        return (await self._ask("GET", "/version")).text

    async def open(self) -> tuple[Open, ...]:
        entries: Mapping[str, dict[str, Any]] = (await self._ask("GET", "/open")).json()
        return tuple(Open(id=id, **entry) for id, entry in entries.items())

    async def sweep(self, ids: Collection[str]) -> None:
        """Forgets these requests and counts their tenants down; at once and only once for each."""
        await self._ask("POST", "/sweep", sorted(ids))

    async def _ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        try:
            async with self._client() as client:
                answer = await client.request(method, f"http://control{path}", json=body)
                return answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ControlError(f"nginx does not answer at {self._socket}: {error}") from error

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        with tempfile.TemporaryDirectory() as folder:
            socket = self._socket
            if len(str(socket).encode()) > LONGEST_SOCKET_PATH:
                shortcut = Path(folder) / "s"
                shortcut.symlink_to(socket.parent, target_is_directory=True)
                socket = shortcut / socket.name
            transport = httpx.AsyncHTTPTransport(uds=str(socket), verify=False)
            async with httpx.AsyncClient(transport=transport, timeout=self._timeout_s) as client:
                yield client


class ControlError(Exception):
    pass
