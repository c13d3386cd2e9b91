"""The page's HTTP: what is answered, what is refused, and what every answer carries."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.testing.fakes import FakeClock
from finsight_serve.ui.app import DOCUMENT, FILES, STREAM, build_app
from finsight_serve.ui.feed import Feed
from finsight_serve.ui.guard import HEADERS, Hosts

pytestmark = pytest.mark.anyio

PORT = 9470
LOCAL = Hosts(PORT)
REMOTE = Hosts(PORT, "0.0.0.0", is_remote=True)


class Stack:
    """A document that a test may change."""

    def __init__(self) -> None:
        self.value, self.looks = 0, 0

    def look(self) -> dict[str, Any]:
        self.looks += 1
        return {"version": 1, "read_at_s": self.looks, "value": self.value}


def client(stack: Stack | None = None, hosts: Hosts = LOCAL, host: str = f"127.0.0.1:{PORT}") -> httpx.AsyncClient:
    app = build_app(Feed((stack or Stack()).look, FakeClock()), hosts)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


@pytest.mark.parametrize("path", FILES)
async def test_each_file_is_there_with_its_type(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(FILES[path][1])
    assert answer.content


async def test_the_page_names_only_files_that_are_there_and_has_nothing_inline() -> None:
    import re

    async with client() as http:
        texts = {path: (await http.get(path)).text for path in FILES}
    named = {found for text in texts.values() for found in re.findall(r'(?:href|src|from) ?=?"(/[^"]*)"', text)}
    named |= {found for text in texts.values() for found in re.findall(r'from "(/[^"]*)"', text)}
    assert named == set(FILES) - {"/"}
    page = texts["/"]
    assert "style=" not in page and not re.search(r"<script(?![^>]*src)|\son\w+=", page)
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", "".join(texts.values()))
    assert not re.search(r"https?://(?!www\.w3\.org)", "".join(texts.values())), "nothing from elsewhere"


@pytest.mark.parametrize("path", ["/", DOCUMENT, "/nothing", "/page"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_every_answer_carries_the_headers_and_only_reading_is_allowed(method: str, path: str) -> None:
    async with client() as http:
        answer = await http.request(method, path)
    assert HEADERS.items() <= dict(answer.headers).items()
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if method in ("GET", "HEAD"):
        assert answer.status_code == (200 if path in ("/", DOCUMENT) else 404)
    else:
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert method != "HEAD" or answer.content == b""


@pytest.mark.parametrize("host", ["127.0.0.1:9470", "localhost:9470", "LOCALHOST:9470", "[::1]:9470"])
async def test_this_machines_own_names_are_admitted(host: str) -> None:
    async with client() as http:
        answer = await http.get(
            "/", headers={"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:9470"},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1:9471"},
        {"host": "127.0.0.1:9470.evil.example"},
        {"host": "localhost:9470@evil.example"},
        {"host": "192.0.2.1:9470"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9470"},  # another origin than the 127.0.0.1 that is asked
        {"origin": "file://127.0.0.1:9470"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", DOCUMENT, STREAM])
async def test_other_hosts_and_other_sites_are_refused(headers: dict[str, str], path: str) -> None:
    stack = Stack()
    async with client(stack) as http:
        answer = await http.get(path, headers=headers)
    assert answer.status_code == 403 and answer.text.startswith("Refused: ") and len(answer.text.splitlines()) == 1
    assert stack.looks == 0


async def test_two_hosts_are_refused() -> None:
    async with client() as http:
        answer = await http.get("/", headers=[("host", "127.0.0.1:9470"), ("host", "evil.example")])
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("host", "status"), [("192.0.2.1:8080", 200), ("[2001:db8::1]", 200), ("localhost:1", 200), ("evil.example", 403)]
)
async def test_where_others_may_read_a_name_alone_is_refused(host: str, status: int) -> None:
    async with client(hosts=REMOTE) as http:
        assert (await http.get("/", headers={"host": host})).status_code == status


@given(st.text(max_size=60))
async def test_no_host_but_the_listed_is_admitted(host: str) -> None:
    listed = {f"{name}:{PORT}" for name in ("127.0.0.1", "localhost", "[::1]")}
    assert LOCAL.admits(host) == (host.lower() in listed)


@pytest.mark.parametrize(
    "path",
    [
        "/../guard.py",
        "/%2e%2e/guard.py",
        "/%2e%2e%2fguard.py",
        "/..%5cguard.py",
        "//etc/passwd",
        "/page/index.html",
        "/page.css/",
        "/page.css%00",
        "/%ff",
        "/api",
        f"{DOCUMENT}/",
        f"{DOCUMENT}/..%2f..%2fpage.css",
    ],
)
async def test_paths_that_are_no_page_are_not_found(path: str) -> None:
    async with client() as http:
        answer = await http.get(httpx.URL(f"http://127.0.0.1:{PORT}/", raw_path=path.encode()))
    assert answer.status_code == 404


@pytest.mark.parametrize("query", ["%", "%zz", "a=%ff&a", "&&=", "version=' OR 1=1", "x" * 5000, "<script>"])
async def test_a_query_changes_nothing(query: str) -> None:
    async with client() as http:
        answer = await http.get(httpx.URL(f"http://127.0.0.1:{PORT}", raw_path=f"{DOCUMENT}?{query}".encode()))
    assert answer.status_code == 200 and answer.json()["version"] == 1


async def test_the_stream_asked_by_head_ends() -> None:
    async with client() as http:
        answer = await http.head(STREAM)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")


@asynccontextmanager
async def running(stack: Stack, *, heartbeat_s: float = 60.0) -> AsyncIterator[tuple[Feed, FakeClock]]:
    clock = FakeClock()
    feed = Feed(stack.look, clock, heartbeat_s=heartbeat_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        try:
            yield feed, clock
        finally:
            tasks.cancel_scope.cancel()


async def test_who_follows_is_told_at_once_and_then_of_changes_alone() -> None:
    stack = Stack()
    async with running(stack) as (feed, clock):
        following = feed.follow()
        assert (await anext(following) or {})["value"] == 0
        told: list[Any] = []

        async def hear() -> None:
            async for one in following:
                told.append(one and one["value"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear)
            for value in (0, 0, 1, 1, 2):
                stack.value = value
                before = stack.looks
                while stack.looks == before:
                    await clock.advance(1.0)
                await anyio.wait_all_tasks_blocked()
            while len(told) < 2:
                await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
        assert told == [1, 2]


async def test_nothing_is_read_while_nobody_follows() -> None:
    stack = Stack()
    async with running(stack) as (feed, clock):
        for _ in range(5):
            await clock.advance(1.0)
        assert stack.looks == 0
        following = feed.follow()
        await anext(following)
        await following.aclose()  # type: ignore[attr-defined]
        looks = stack.looks
        for _ in range(5):
            await clock.advance(1.0)
        assert stack.looks == looks


async def test_a_heartbeat_where_nothing_changes() -> None:
    async with running(Stack(), heartbeat_s=0.01) as (feed, _):
        following = feed.follow()
        await anext(following)
        assert await anext(following) is None
        await following.aclose()  # type: ignore[attr-defined]


async def test_a_document_is_one_event_of_one_line() -> None:
    from finsight_serve.ui.app import _events

    text = "a tenant\nnamed </script> \u2028 data: x"
    feed = Feed(lambda: {"version": 1, "name": text}, FakeClock())
    events = _events(feed)
    assert (await anext(events)).startswith("retry: ")
    line, *rest = (await anext(events)).split("\n")
    assert json.loads(line.removeprefix("data: "))["name"] == text and rest == ["", ""]
