"""The shadow client: asks a source and a destination replica what a client has just asked, and compares the answers.

It stands outside the data path. The load balancer sends copies of requests to a unix socket and waits for nothing: they
are answered 204 at once. Of prompts and answers nothing is stored or logged; only counts are kept, in memory, so after
a restart of the controller the shadow begins anew and its gate holds for longer.

The source is asked again, rather than the client's own answer read, because that answer passes through the load
balancer alone. Both are so asked at the same moment by the same client. Two things favour one side: the source may have
the prompt in its prefix cache, from the client's own request, and the destination bears no other load yet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import anyio
import httpx
from anyio.abc import TaskGroup
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..domain.shadow import ShadowReport
from ..env import Clock
from .api import serve_api
from .probing import Target
from .shadow_answers import Answer, AnswerReader
from .shadow_tally import Tally

CONCURRENT_PAIRS = 16  # of all migrations together; further copies are dropped
PAIRS_PER_MIGRATION = 4  # so that one whose replicas hang leaves the others some
LARGEST_BODY_BYTES = 8 * 2**20  # what nginx takes of a client, unless told otherwise
PAIR_TIMEOUT_S = 300.0
COMPARED_PATHS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
"""What may be asked twice: it changes nothing at a replica."""
TENANT_HEADER = "X-Finsight-Tenant"
FORWARDED_HEADERS = ("Content-Type", "Accept")
"""No request id, since an engine may refuse one that it knows, and nothing that says who asked."""


@dataclass(frozen=True)
class ShadowPair:
    """Replicas are asked in turn. Where a side has none, copies are dropped."""

    migration_id: str
    sources: tuple[Target, ...]
    destinations: tuple[Target, ...]


@dataclass(frozen=True)
class _Copy:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _Shadow:
    pair: ShadowPair
    tally: Tally

    def next_targets(self) -> tuple[Target, Target]:
        turn = self.tally.begin()
        sources, destinations = self.pair.sources, self.pair.destinations
        return sources[turn % len(sources)], destinations[turn % len(destinations)]


class Shadower:
    """`pairs` is replaced whenever the state changes; a migration that stays in it keeps its counts."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        clock: Clock,
        say: Callable[[str], None],
        *,
        timeout_s: float = PAIR_TIMEOUT_S,
    ) -> None:
        self._http, self._clock, self._say, self._timeout_s = http, clock, say, timeout_s
        self._shadows: Mapping[str, _Shadow] = {}
        self._places = anyio.Semaphore(CONCURRENT_PAIRS)

    @property
    def pairs(self) -> Mapping[str, ShadowPair]:
        """By tenant."""
        return {tenant: shadow.pair for tenant, shadow in self._shadows.items()}

    @pairs.setter
    def pairs(self, pairs: Mapping[str, ShadowPair]) -> None:
        tallies = {shadow.pair.migration_id: shadow.tally for shadow in self._shadows.values()}
        self._shadows = {
            tenant: _Shadow(pair, tallies.get(pair.migration_id) or Tally()) for tenant, pair in pairs.items()
        }

    def reports(self) -> Mapping[str, ShadowReport]:
        """By migration, of those in `pairs`."""
        return {shadow.pair.migration_id: shadow.tally.report() for shadow in self._shadows.values()}

    async def run(self, socket: Path) -> None:
        """Until cancelled; then the pairs that are being asked are given up."""
        async with anyio.create_task_group() as tasks:
            await serve_api(self._app(tasks), socket)

    def _app(self, tasks: TaskGroup) -> Starlette:
        async def take(request: Request) -> Response:
            shadow = self._shadows.get(unquote(request.headers.get(TENANT_HEADER, "")))
            if shadow is not None:  # else its shadow has ended, and the load balancer does not know yet
                await self._take(request, shadow, tasks)
            return Response(status_code=204)

        return Starlette(routes=[Route("/{path:path}", take, methods=["POST"])])

    async def _take(self, request: Request, shadow: _Shadow, tasks: TaskGroup) -> None:
        has_replicas = shadow.pair.sources and shadow.pair.destinations
        if not has_replicas or request.url.path not in COMPARED_PATHS or not self._takes_place(shadow.tally):
            shadow.tally.drop()
            return
        copy = await _read_copy(request)
        if copy is None:
            self._give_place_back(shadow.tally)
            shadow.tally.drop()
        else:
            tasks.start_soon(self._compare, shadow, copy)

    def _takes_place(self, tally: Tally) -> bool:
        """Before the body is read: what is read and not asked yet must be bounded too."""
        if tally.places >= PAIRS_PER_MIGRATION:
            return False
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            return False
        tally.places += 1
        return True

    def _give_place_back(self, tally: Tally) -> None:
        tally.places -= 1
        self._places.release()

    async def _compare(self, shadow: _Shadow, copy: _Copy) -> None:
        answers: dict[str, Answer | None] = {}
        source, destination = shadow.next_targets()

        async def ask(side: str, target: Target) -> None:
            answers[side] = await self._ask(target, copy)

        try:
            async with anyio.create_task_group() as both:
                both.start_soon(ask, "source", source)
                both.start_soon(ask, "destination", destination)
            shadow.tally.add(
                answers["source"], answers["destination"], at_temperature_0=_is_at_temperature_0(copy.body)
            )
        except Exception as error:  # its text might quote an answer
            self._say(f"a pair of shadow {shadow.pair.migration_id} raised {type(error).__name__}")
        finally:
            self._give_place_back(shadow.tally)

    async def _ask(self, target: Target, copy: _Copy) -> Answer | None:
        """None for whatever is no whole answer with a 2xx; nothing is asked again."""
        with anyio.move_on_after(self._timeout_s):  # httpx's own timeouts start anew with each byte
            try:
                return await self._read_answer(target, copy)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError):
                pass
        return None

    async def _read_answer(self, target: Target, copy: _Copy) -> Answer | None:
        url = f"http://{target.replica.address}{copy.path}"
        headers = {**copy.headers, "Authorization": f"Bearer {target.key}"}
        asked_s = self._clock.now()
        async with self._http.stream("POST", url, content=copy.body, headers=headers, timeout=None) as response:
            if not response.is_success:
                return None
            reader = AnswerReader(response.headers.get("Content-Type", "").startswith("text/event-stream"))
            first_byte_s = None
            async for data in response.aiter_bytes():
                first_byte_s = first_byte_s or self._clock.now()
                reader.feed(data)
            ended_s = self._clock.now()
            return reader.end((first_byte_s or ended_s) - asked_s, ended_s - asked_s)


async def _read_copy(request: Request) -> _Copy | None:
    """None where the body is too large, or its sender left before its end."""
    body = bytearray()
    try:
        async for data in request.stream():
            body += data
            if len(body) > LARGEST_BODY_BYTES:
                return None
    except ClientDisconnect:
        return None
    headers = {name: request.headers[name] for name in FORWARDED_HEADERS if name in request.headers}
    return _Copy(request.url.path, headers, bytes(body))


class _Sampling(BaseModel):
    temperature: Annotated[float, Field(strict=True)] | None = None


def _is_at_temperature_0(body: bytes) -> bool:
    try:
        return _Sampling.model_validate_json(body).temperature == 0
    except ValidationError:
        return False
