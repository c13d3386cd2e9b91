"""The page's HTTP: its files, the document, and the document as a stream."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.resources import files

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from .feed import Feed, to_json
from .guard import Guard, Hosts

FILES: Mapping[str, tuple[str, str]] = {  # path → file of the folder `page`, media type
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/parts.js": ("parts.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
DOCUMENT, STREAM = "/api/v1/stack", "/api/v1/stream"
RETRY_MS = 1000
"""After so long a browser asks for the stream again that it has lost."""


def build_app(feed: Feed, hosts: Hosts) -> Starlette:
    async def get_document(_: Request) -> Response:
        return Response(to_json(await feed.read()), media_type="application/json")

    async def get_stream(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return StreamingResponse(_events(feed), media_type="text/event-stream")

    routes = [Route(path, _file(*found)) for path, found in FILES.items()]
    routes += [Route(DOCUMENT, get_document), Route(STREAM, get_stream)]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)])
    app.router.redirect_slashes = False
    return app


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that answers with one file, read once: no path that a client sends is ever opened."""
    content = (files(__package__) / "page" / name).read_bytes()

    async def get_file(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return get_file


async def _events(feed: Feed) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    async for document in feed.follow():
        yield ": nothing has changed\n\n" if document is None else f"data: {to_json(document)}\n\n"
