"""`fs ui` in a real Chromium: a stack, a migration that moves on it, the keyboard, axe-core, what is refused."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .blue_green import DESTINATION, PATIENT, SOURCE, deployment
from .browser import axe_source, lacking, opened_browser, violations
from .moving import migrate, wait_over, wait_streaming
from .processes import listener
from .stand import Stand
from .ui_page import served_page
from .waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STEPS = ("--steps", "25,50,100", "--hold", "1s", "--min-requests", "3", "--limit", "error_rate<=0%")
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 780}, "has_touch": True},
}
HOSTILE = "<img src=x onerror=alert(1)>"
SHOWN_S = 60.0


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    if why := lacking():
        pytest.skip(why)
    with opened_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def served() -> Iterator[Stand]:
    with closing(Stand("desk")) as stand:
        stand.write(
            health=PATIENT,
            deployments=[deployment(SOURCE), deployment(DESTINATION)],
            tenants=[{"name": "default", "deployment": SOURCE}, {"name": "quiet", "deployment": SOURCE}],
        )
        stand.serve()
        yield stand


@pytest.fixture(scope="module")
def url(served: Stand) -> Iterator[str]:
    with served_page(served) as url:
        yield url


@contextmanager
def opened(browser: "Browser", url: str, look: str = "light") -> "Iterator[Page]":
    """A page that has its stack. At the end nothing must have been said on its console, nor asked of another host."""
    said: list[str] = []
    with closing(browser.new_context(**LOOKS[look])) as context:
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(url) else said.append(request.url))
        page.goto(url)
        page.wait_for_selector("#deployments article", timeout=SHOWN_S * 1000)
        yield page
    assert said == []


def test_a_migration_is_watched_moving(browser: "Browser", served: Stand, url: str) -> None:
    with opened(browser, url) as page, served.load(workers=4, tokens=5) as load:
        assert page.title() == "All is well: desk"
        assert page.get_by_role("heading", level=1).inner_text() == "desk"
        assert [one.inner_text() for one in page.locator("#deployments h3").all()] == [SOURCE, DESTINATION]
        wait_streaming(load)
        page.evaluate(
            """() => { window.seen = []; const note = () => {
                const now = document.querySelector(".steps [aria-current]")?.innerText;
                if (now && seen.at(-1) !== now) seen.push(now);
                requestAnimationFrame(note); }; note(); }"""
        )
        id = migrate(served, "default", DESTINATION, *STEPS)
        page.wait_for_selector(f"[data-key=migration-{id}]", timeout=SHOWN_S * 1000)
        page.wait_for_selector(f"[data-key=migration-{id}][data-over=true]", timeout=90_000)
        ended = wait_over(served, id)
        assert ended.phase == "done", ended.reason
        steps = [int(found[0]) for text in page.evaluate("seen") if (found := re.findall(r"(\d+) %", text))]
        assert steps and set(steps) <= {25, 50, 100} and all(one < other for one, other in pairwise(steps)), steps
        assert 50 in steps, "what was shown followed it live"
        card = page.locator(f"[data-key=migration-{id}]")
        assert card.locator(".chip").inner_text() == "done"
        wait_until(lambda: shown_total(card) > 0, SHOWN_S, "its ledger is shown")
        assert card.locator("tfoot td").all_inner_texts()[1:] == ["0", "0"], "nothing failed or broke off"
        routed = page.locator("[data-key=tenant-default] .routed")
        wait_until(lambda: f"{DESTINATION} 100 %" in routed.inner_text(), SHOWN_S, "where it is routed is shown")
        assert f"{SOURCE} 100 %" in page.locator("[data-key=tenant-quiet] .routed").inner_text()
        assert "migration done" in page.locator("#events").inner_text()


def shown_total(card: Any) -> int:
    return int(card.locator("tfoot td").first.inner_text().replace(",", "")) if card.locator("tfoot").count() else 0


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(browser: "Browser", url: str, look: str) -> None:
    try:
        axe = axe_source()
    except LookupError as error:
        pytest.skip(str(error))
    with opened(browser, url, look) as page:
        page.locator("#deployments summary").first.click()
        assert violations(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it does not scroll sideways"
        page.evaluate("document.querySelector('h1').removeAttribute('id'); document.documentElement.lang = ''")
        assert violations(page, axe), "axe looks at all"


def test_by_keyboard_alone(browser: "Browser", served: Stand, url: str) -> None:
    with opened(browser, url) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the stack"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.localName") == "summary"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", "where the focus is can be seen"
        page.keyboard.press("Enter")
        numbers = page.locator("details[open] table").first
        assert numbers.locator("tbody tr").count() == 24
        # what changes meanwhile must neither close it nor take the focus away
        done = served.fs("tenant", "add", "late", "--deployment", SOURCE)
        assert done.returncode == 0, done.stderr
        page.wait_for_selector("[data-key=tenant-late]", timeout=SHOWN_S * 1000)
        assert numbers.is_visible() and page.evaluate("document.activeElement.localName") == "summary"
        page.keyboard.press("Enter")
        assert page.locator("details[open]").count() == 0


def test_what_a_stack_says_is_text_and_without_a_controller_it_is_what_was_stored(
    browser: "Browser", served: Stand
) -> None:
    done = served.fs("tenant", "add", "named", "--deployment", SOURCE)
    assert done.returncode == 0, done.stderr
    with served_page(served) as url, opened(browser, url) as page:
        shown, elements = page.evaluate(
            """async (text) => {
                const { verdict } = await import("/parts.js"), box = document.createElement("div");
                const findings = [{ level: "notice", text }];
                box.append(...verdict({ level: "notice", headline: text, findings }));
                return [box.textContent, box.querySelectorAll("img").length]; }""",
            HOSTILE,
        )
        assert shown.count(HOSTILE) == 2 and elements == 0
        page.wait_for_selector("[data-key=tenant-named]", timeout=SHOWN_S * 1000)
        os.kill(served.serving.process.pid, signal.SIGTERM)
        served.serving.wait_ended()
        page.wait_for_selector("#standing[data-level=trouble]", timeout=SHOWN_S * 1000)
        assert "No controller runs" in page.locator("#verdict").inner_text()
        assert page.locator("#link-text").inner_text() == "As stored last"
        assert page.locator("#deployments article").count() == 2
        served.serve()
        page.wait_for_selector("#standing[data-level=well]", timeout=SHOWN_S * 1000)


def test_a_page_whose_process_has_ended_says_so(browser: "Browser", served: Stand) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()
        with served_page(served) as url:
            page.goto(url)
            page.wait_for_selector("#deployments article", timeout=SHOWN_S * 1000)
        page.wait_for_function("document.title.startsWith('Not connected')", timeout=SHOWN_S * 1000)
        assert "What stands here is from" in page.locator("#verdict").inner_text()


def raw(url: str, text: bytes) -> bytes:
    """The beginning of the answer; b"" where the connection was closed without one."""
    host, port = url.removeprefix("http://").strip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        try:
            connection.sendall(text)
            return connection.recv(4096)
        except ConnectionError:
            return b""


def test_what_is_no_request_is_refused_and_the_page_goes_on(served: Stand, url: str) -> None:
    host = url.removeprefix("http://").strip("/")
    for sent, status in (
        (f"GET /../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n", b"404"),
        (f"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n", b"404"),
        (f"GET /api/v1/stack?%zz&=%ff HTTP/1.1\r\nHost: {host}\r\n\r\n", b"200"),
        (f"GET / HTTP/1.1\r\nHost: {host}\r\nX: {'x' * 200_000}\r\n\r\n", b"400"),
        (f"GET /{'x' * 200_000} HTTP/1.1\r\nHost: {host}\r\n\r\n", b"400"),
        (f"DELETE /api/v1/stack HTTP/1.1\r\nHost: {host}\r\n\r\n", b"405"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"403"),
        ("GET / HTTP/1.1\r\n\r\n", b"400"),
        (f"GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\n\r\n", b"403"),
        ("\x16\x03\x01 no http\r\n\r\n", b"400"),
    ):
        answer = raw(url, sent.encode())
        assert status in answer.partition(b"\r\n")[0] or (status == b"400" and answer == b""), (sent[:80], answer[:200])
        assert b"root:" not in answer and b"Traceback" not in answer
    assert httpx.get(url, trust_env=False).status_code == 200
    port = host.rpartition(":")[2]
    bound = {one.laddr.ip for one in listener(int(port)).net_connections() if one.status == "LISTEN"}
    assert bound == {"127.0.0.1"}, "nobody else can reach it"
    refused = served.fs("ui", "--port", port)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1) and f"{port} is in use" in refused.stderr
