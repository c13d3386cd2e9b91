"""The API server, as this plugin asks it."""

import json
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import urlencode

import anyio

from .access import Identity
from .credentials import Session, log_in
from .kinds import ALL, Json, Kind, kind_of
from .options import Access
from .ownership import FIELD_MANAGER as FIELD_MANAGER
from .refusals import (
    CONFLICT,
    GONE,
    NOT_FOUND,
    TOO_MANY,
    UNAUTHORIZED,
    UNAVAILABLE,
    Asked,
    is_name_missing,
    refusal,
    slow,
    unreachable,
    untrusted,
    why,
)
from .refusals import ApiRefusal as ApiRefusal

Response: TypeAlias = Any
"""The library's, which has types only in part."""

PAGE = 250
WATCH_S = 300
"""How long the server keeps a watch; then it is resumed where it ended."""
SILENCE_S = 120.0
"""A watch's bookmarks come every minute: after twice that, the connection is dead."""
TRIES = 4


@dataclass(frozen=True)
class Change:
    """A line of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    body: Json


class KubeApi(Protocol):
    """One namespace of one cluster. Every method raises `ApiRefusal` (an `ApplyError`) in words for people."""

    namespace: str

    async def get(self, kind: Kind, name: str) -> Json | None:
        """None where there is none."""
        ...

    async def list(self, kind: Kind, selector: str = "") -> tuple[list[Json], str]:
        """All of them (paged), and the resource version from which to watch on."""
        ...

    def pages(self, kind: Kind, selector: str = "") -> AsyncIterator[tuple[Sequence[Json], str]]:
        """The same, so that not all of them need be held at once; the version is every page's. 410: begin again."""
        ...

    def watch(self, kind: Kind, selector: str, resource_version: str) -> AsyncIterator[Change]:
        """Changes after that version, bookmarks included, until the server ends it. `ApiRefusal.code` 410: too old."""
        ...

    async def apply(self, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        """Server-side apply as `FIELD_MANAGER`; the object as it is then. 409: another manager owns a field."""
        ...

    async def create(self, kind: Kind, body: Json, name: str = "", subresource: str = "") -> Json: ...

    async def patch(self, kind: Kind, name: str, operations: Sequence[Json]) -> Json:
        """A JSON patch. 422: one of its tests failed, or it makes no valid object."""
        ...

    async def delete(self, kind: Kind, name: str, *, uid: str = "") -> None:
        """Nothing where there is none, or one with another uid."""
        ...

    async def serves(self, kind: Kind) -> bool:
        """Whether the API server knows the kind."""
        ...

    async def text(self, path: str, query: Mapping[str, str]) -> str:
        """A raw GET: a pod's log, a service's proxy, discovery."""
        ...


@asynccontextmanager
async def connect(access: Access) -> AsyncIterator[KubeApi]:
    """Asks nothing yet. Raises `ApiRefusal` where the credentials can't be read."""
    client = _Client(access)
    await client.log_in()
    try:
        yield client
    finally:
        await client.close()


class _Client:
    def __init__(self, access: Access) -> None:
        self.namespace = access.namespace
        self._access = access
        self._timeout_s = access.request_timeout_s
        self._sessions: list[Session] = []
        self._logging_in = anyio.Lock()

    async def log_in(self, instead_of: int = 0) -> None:
        """Reads the credentials anew, unless someone else has since the session `instead_of`."""
        async with self._logging_in:
            if len(self._sessions) == instead_of:
                self._sessions.append(await log_in(self._access))

    async def close(self) -> None:
        for session in self._sessions:
            await session.client.close()

    @property
    def _identity(self) -> Identity:
        return self._sessions[-1].identity

    async def get(self, kind: Kind, name: str) -> Json | None:
        asked = self._asked("get", kind, name)
        code, answer = await self._ask("GET", asked)
        if code == NOT_FOUND and is_name_missing(answer):
            return None
        return self._body(code, answer, asked)

    async def list(self, kind: Kind, selector: str = "") -> tuple[list[Json], str]:
        found: list[Json] = []
        last = ""
        async for items, version in self.pages(kind, selector):
            found += items
            last = version
        return found, last

    async def pages(self, kind: Kind, selector: str = "") -> AsyncIterator[tuple[Sequence[Json], str]]:
        asked = self._asked("list", kind)
        query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            page = self._body(*await self._ask("GET", asked, query), asked)
            items = [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page.get("items") or ()]
            follow, version = page["metadata"].get("continue"), page["metadata"]["resourceVersion"]
            del page  # the next one is read while this one is used
            yield items, version
            if not follow:
                return
            query["continue"] = follow

    async def watch(self, kind: Kind, selector: str, resource_version: str) -> AsyncIterator[Change]:
        asked = self._asked("watch", kind)
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_S),
            **({"labelSelector": selector} if selector else {}),
        }
        response = await self._open(asked, query)
        try:
            async for line in self._lines(response):
                change = json.loads(line)
                if change["type"] == "ERROR":
                    status = change["object"]
                    raise refusal(int(status.get("code", GONE)), json.dumps(status), asked, self._identity)
                yield Change(change["type"], change["object"])
        finally:
            response.response.close()

    async def apply(self, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        asked = self._asked("patch", kind_of(body, ALL), body["metadata"]["name"])
        query = {
            "fieldManager": FIELD_MANAGER,
            "fieldValidation": "Strict",
            "force": str(force).lower(),
            **({"dryRun": "All"} if dry_run else {}),
        }
        return self._body(*await self._ask("PATCH", asked, query, body, "application/apply-patch+yaml"), asked)

    async def create(self, kind: Kind, body: Json, name: str = "", subresource: str = "") -> Json:
        asked = self._asked("create", kind, name, subresource)
        return self._body(*await self._ask("POST", asked, {"fieldManager": FIELD_MANAGER}, body), asked)

    async def patch(self, kind: Kind, name: str, operations: Sequence[Json]) -> Json:
        asked = self._asked("patch", kind, name)
        query = {"fieldManager": FIELD_MANAGER}
        return self._body(*await self._ask("PATCH", asked, query, [*operations], "application/json-patch+json"), asked)

    async def delete(self, kind: Kind, name: str, *, uid: str = "") -> None:
        asked = self._asked("delete", kind, name)
        # in the background: a deployment may come back under its name while its old pods still drain
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        code, answer = await self._ask("DELETE", asked, {}, body)
        is_another = code == CONFLICT and bool(uid)
        if not is_another and not (code == NOT_FOUND and is_name_missing(answer)):
            self._body(code, answer, asked)

    async def serves(self, kind: Kind) -> bool:
        asked = Asked("get", kind.root)
        code, answer = await self._ask("GET", asked)
        if code == NOT_FOUND:
            return False
        return any(found["name"] == kind.plural for found in self._body(code, answer, asked)["resources"])

    async def text(self, path: str, query: Mapping[str, str]) -> str:
        asked = Asked("get", path, namespace=self.namespace)
        code, answer = await self._ask("GET", asked, query)
        if code >= 400:
            raise refusal(code, answer, asked, self._identity)
        return answer

    def _asked(self, verb: str, kind: Kind, name: str = "", subresource: str = "") -> Asked:
        path = kind.path(self.namespace, name) + (f"/{subresource}" if subresource else "")
        return Asked(verb, path, kind, self.namespace, name, subresource)

    def _body(self, code: int, answer: str, asked: Asked) -> Json:
        if code >= 400:
            raise refusal(code, answer, asked, self._identity)
        try:
            body = json.loads(answer)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise unreachable("what answers there is no Kubernetes", self._identity)
        return body

    async def _ask(
        self,
        method: str,
        asked: Asked,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> tuple[int, str]:
        """The status and what was answered, asked again where that may help."""
        for tried in range(1, TRIES + 1):
            session = len(self._sessions)
            try:
                response = await self._send(method, asked, query or {}, body, content_type)
                answer = await self._read(response, asked)
            except _Broken as broken:
                if tried == TRIES:
                    raise broken.refusal from broken
                continue
            if response.status == UNAUTHORIZED and tried == 1:
                await self.log_in(instead_of=session)  # tokens are short-lived
            elif response.status in (TOO_MANY, UNAVAILABLE) and "Retry-After" in response.headers and tried < TRIES:
                await anyio.sleep(min(float(response.headers["Retry-After"]), self._timeout_s))
            else:
                break
        return response.status, answer

    async def _send(
        self,
        method: str,
        asked: Asked,
        query: Mapping[str, str],
        body: Any = None,
        content_type: str = "application/json",
        reads_s: float | None = None,
    ) -> Response:
        """`reads_s`: for a stream, how long it may be silent; otherwise the whole answer is due in time."""
        import aiohttp

        session = self._sessions[-1]
        timeout = aiohttp.ClientTimeout(total=None if reads_s else self._timeout_s, sock_connect=self._timeout_s)
        if reads_s:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=reads_s)
        url = session.identity.server + asked.path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Content-Type": content_type, **session.headers}
        request = session.client.request(method, url, headers=headers, body=body, _request_timeout=timeout)
        return await self._translated(request, asked)

    async def _open(self, asked: Asked, query: Mapping[str, str]) -> Response:
        """A watch."""
        for tried in range(1, TRIES + 1):
            session = len(self._sessions)
            try:
                response = await self._send("GET", asked, query, reads_s=SILENCE_S)
                if response.status < 400:
                    return response
                answer = await self._read(response, asked)
            except _Broken as broken:
                if tried == TRIES:
                    raise broken.refusal from broken
                continue
            if response.status != UNAUTHORIZED or tried > 1:
                break
            await self.log_in(instead_of=session)
        raise refusal(response.status, answer, asked, self._identity)

    async def _read(self, response: Response, asked: Asked) -> str:
        answer: bytes = await self._translated(response.read(), asked)
        return answer.decode(errors="replace")

    async def _lines(self, response: Response) -> AsyncIterator[bytes]:
        """Until it ends or breaks: whoever watches asks again, and then hears what is wrong."""
        import aiohttp

        rest: bytes = b""
        try:
            async for chunk in response.response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError):
            return

    async def _translated(self, answer: Awaitable[Any], asked: Asked) -> Any:
        import aiohttp

        try:
            return await answer
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise untrusted(why(error), self._identity) from error
        except aiohttp.ClientConnectorError as error:
            raise unreachable(why(error), self._identity) from error
        except TimeoutError as error:
            raise slow(self._timeout_s, asked, self._identity) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _Broken(unreachable(why(error), self._identity)) from error


class _Broken(Exception):
    """A connection that ended before the answer came. Every request here may be repeated."""

    def __init__(self, refusal: ApiRefusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
