"""Who may ask, and what every answer carries. The page is for this machine's own browser, and it is read-only.

A page of another site can make a browser ask a loopback address. It is told apart by what it can't forge: by `Host`
where it gave its own name this machine's address (DNS rebinding), by `Origin` and `Sec-Fetch-Site` where it asks across
sites.
"""

import ipaddress
import re
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
METHODS = ("GET", "HEAD")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?", re.ASCII)
HTTP_PORT = 80
OF_ONE_SITE = ("same-origin", "none")  # none: typed into the address bar
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True)
class Hosts:
    """What `Host` may say. `is_remote`: any literal address, since a name alone can be made to point elsewhere."""

    port: int
    address: str = "127.0.0.1"
    is_remote: bool = False

    @property
    def url(self) -> str:
        return f"http://{self._name}:{self.port}/"

    def admits(self, host: str) -> bool:
        found = HOST.fullmatch(host.lower())
        if not found:
            return False
        name, port = found[1], int(found[2] or HTTP_PORT)
        if self.is_remote:  # by whatever port it is reached, as through a container's
            return name == "localhost" or _is_literal(name.strip("[]"))
        return name in {*LOCAL_NAMES, self._name} and port == self.port

    @property
    def _name(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address


class Guard:
    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = refuse(scope["method"], Headers(scope=scope), self._hosts) or self._app
        await app(scope, receive, send_guarded)


def refuse(method: str, headers: Headers, hosts: Hosts) -> PlainTextResponse | None:
    """The answer to who may not ask; None to who may."""
    if method not in METHODS:
        return PlainTextResponse("This page only shows: GET and HEAD.\n", 405, {"allow": ", ".join(METHODS)})
    given = headers.getlist("host")
    if len(given) != 1 or not hosts.admits(given[0]):
        fix = f"open http://127.0.0.1:{hosts.port}/, through a tunnel by the same port number"
        return PlainTextResponse(f"Refused: the request names another host; {fix}.\n", 403)
    origins = headers.getlist("origin")
    sites = headers.getlist("sec-fetch-site")
    if any(_host_of(one) != given[0] for one in origins) or any(one not in OF_ONE_SITE for one in sites):
        return PlainTextResponse("Refused: another site asked for this; type the address into the browser.\n", 403)
    return None


def _host_of(origin: str) -> str:
    scheme, _, host = origin.partition("://")
    return host if scheme in ("http", "https") else ""


def _is_literal(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
