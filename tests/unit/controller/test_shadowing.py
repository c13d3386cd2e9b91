"""The shadow client over its own socket; the replicas are answers in this process."""

import json
import logging
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest

from finsight_serve.controller.probing import Target
from finsight_serve.controller.shadowing import (
    CONCURRENT_PAIRS,
    LARGEST_BODY_BYTES,
    PAIRS_PER_MIGRATION,
    Shadower,
    ShadowPair,
)
from finsight_serve.domain.shadow import ShadowReport
from finsight_serve.plugin import Replica
from finsight_serve.processes import SystemClock
from finsight_serve.testing.waiting import wait_for

pytestmark = pytest.mark.anyio

TENANT = "Händler/1"
PATH = "/v1/chat/completions"
PROMPT, ANSWER, KEY = "how-is-the-merger-going", "a-very-private-answer", "sk-the-deployments-own"
ASK: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": PROMPT}], "temperature": 0}

Says = Callable[[httpx.Request], Awaitable[httpx.Response]]


def whole(text: str = ANSWER, finish: str = "stop", code: int = 200) -> Says:
    async def says(request: httpx.Request) -> httpx.Response:
        choice = {"index": 0, "message": {"content": text}, "finish_reason": finish}
        return httpx.Response(code, json={"choices": [choice], "usage": {"completion_tokens": 4}})

    return says


def streamed(*texts: str, end: bytes = b"data: [DONE]\n\n") -> Says:
    async def body() -> AsyncIterator[bytes]:
        for text in texts:
            yield b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"
        yield b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n' + end

    async def says(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"}, content=body())

    return says


def status(code: int) -> Says:
    async def says(request: httpx.Request) -> httpx.Response:
        return httpx.Response(code, json={"error": {"message": ANSWER}})

    return says


async def html(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, html="<html>It works!</html>")


async def hang(request: httpx.Request) -> httpx.Response:
    await anyio.sleep_forever()
    raise AssertionError


async def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


async def burst(request: httpx.Request) -> httpx.Response:
    raise RuntimeError(f"no more {ANSWER}")


class Stand:
    """`answers` is by replica; `asked` is what reached them."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "shadow.sock"
        self.answers: dict[str, Says] = {"source": whole(), "destination": whole()}
        self.asked: list[httpx.Request] = []
        self.said: list[str] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.shadower = Shadower(self.http, SystemClock(), self.said.append, timeout_s=0.3)
        self.shadower.pairs = {TENANT: pair()}

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return await self.answers[request.url.host](request)

    async def post(
        self, body: Any = ASK, path: str = PATH, tenant: str = TENANT, method: str = "POST", **headers: str
    ) -> int:
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "X-Finsight-Tenant": quote(tenant, safe=""), **headers}
        async with httpx.AsyncClient(transport=transport, base_url="http://shadow") as http:
            return (await http.request(method, path, content=content, headers=sent, timeout=2)).status_code

    @property
    def report(self) -> ShadowReport:
        [report] = self.shadower.reports().values()
        return report

    async def after(self, pairs: int) -> ShadowReport:
        await wait_for(lambda: self.report.pairs == pairs)
        return self.report


def targets(*names: str) -> tuple[Target, ...]:
    return tuple(Target(Replica(f"r-{name}", "chat", name, "ready"), "chat", KEY) for name in names)


def pair(
    id: str = "m-1", sources: tuple[str, ...] = ("source",), destinations: tuple[str, ...] = ("destination",)
) -> ShadowPair:
    return ShadowPair(id, targets(*sources), targets(*destinations))


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp())  # a unix socket's path must be short
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def stand(folder: Path) -> AsyncIterator[Stand]:
    stand = Stand(folder)
    async with stand.http, anyio.create_task_group() as tasks:
        tasks.start_soon(stand.shadower.run, stand.socket)
        await wait_for(stand.socket.exists)
        yield stand
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("source", "destination", "found"),
    [
        (whole(), whole(), {"at_temperature_0": 1}),
        (whole(), streamed(ANSWER[:3], ANSWER[3:]), {"at_temperature_0": 1}),
        (whole(), whole("something else"), {"at_temperature_0": 1, "other_text": 1}),
        (whole(), whole(finish="length"), {"at_temperature_0": 1, "other_finish": 1}),
        (whole(), status(500), {"failed": 1}),
        (whole(), status(404), {"failed": 1}),
        (whole(), whole(code=500), {"failed": 1}),
        (whole(), html, {"failed": 1}),
        (whole(), refuse, {"failed": 1}),
        (whole(), hang, {"failed": 1}),
        (whole(), streamed(ANSWER, end=b""), {"failed": 1}),
        (status(500), whole(), {"source_failed": 1}),
        (status(400), status(400), {"source_failed": 1}),
        (hang, status(500), {"source_failed": 1}),
    ],
)
async def test_what_a_pair_shows(stand: Stand, source: Says, destination: Says, found: dict[str, int]) -> None:
    stand.answers = {"source": source, "destination": destination}
    assert await stand.post() == 204
    report = await stand.after(pairs=1)
    counted = ("source_failed", "failed", "other_finish", "other_text", "at_temperature_0", "dropped")
    assert {name: getattr(report, name) for name in counted if getattr(report, name)} == found
    assert (report.ttft_p95_ratio is not None) == ("failed" not in found and "source_failed" not in found)


@pytest.mark.parametrize(
    ("body", "compared"),
    [
        ({**ASK, "temperature": 0.0}, 1),
        ({**ASK, "temperature": 0.7}, 0),
        ({**ASK, "temperature": None}, 0),
        ({**ASK, "temperature": False}, 0),
        ({"model": "chat"}, 0),
        (b"no json", 0),
    ],
)
async def test_texts_are_compared_where_the_client_asked_for_the_likeliest(
    stand: Stand, body: Any, compared: int
) -> None:
    await stand.post(body)
    assert (await stand.after(pairs=1)).at_temperature_0 == compared


async def test_replicas_get_the_body_as_it_is_and_no_headers_but_the_safe_ones(stand: Stand) -> None:
    body = b'{"model":"chat", "stream":true,"user":"u"}'
    private = {"Authorization": "Bearer of-the-client", "X-Request-Id": "id-1", "Cookie": "c", "X-Session-Id": "s"}
    await stand.post(body, **private, Accept="text/event-stream")
    await stand.after(pairs=1)
    assert sorted(str(request.url) for request in stand.asked) == [
        f"http://{n}{PATH}" for n in ("destination", "source")
    ]
    for request in stand.asked:
        assert request.content == body
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["Accept"] == "text/event-stream"
        assert not {"x-request-id", "cookie", "x-session-id", "x-finsight-tenant"} & request.headers.keys()


async def test_replicas_are_asked_in_turn(stand: Stand) -> None:
    names = ("a", "b", "x", "y", "z")
    stand.answers = dict.fromkeys(names, whole())
    stand.shadower.pairs = {TENANT: pair(sources=names[:2], destinations=names[2:])}
    for pairs in range(1, 7):
        await stand.post()
        await stand.after(pairs)
    assert {name: sum(request.url.host == name for request in stand.asked) for name in names} == {
        "a": 3, "b": 3, "x": 2, "y": 2, "z": 2,
    }  # fmt: skip


async def test_copies_are_answered_at_once_and_dropped_beyond_the_bound(stand: Stand) -> None:
    stand.shadower._timeout_s = 60
    stand.answers = {"source": hang, "destination": hang}
    for _ in range(PAIRS_PER_MIGRATION + 3):
        assert await stand.post() == 204
    assert stand.report == ShadowReport(dropped=3)
    await wait_for(lambda: len(stand.asked) == 2 * PAIRS_PER_MIGRATION)


async def test_one_migration_whose_replicas_hang_leaves_the_others_places(stand: Stand) -> None:
    stand.shadower._timeout_s = 60
    stand.answers |= {"source": hang, "destination": hang, "well": whole(), "fine": whole()}
    stand.shadower.pairs = {TENANT: pair(), "other": pair("m-2", ("well",), ("fine",))}
    for _ in range(CONCURRENT_PAIRS):
        await stand.post()
    await stand.post(tenant="other")
    await wait_for(lambda: stand.shadower.reports()["m-2"].pairs == 1)
    assert stand.shadower.reports() == {
        "m-1": ShadowReport(dropped=CONCURRENT_PAIRS - PAIRS_PER_MIGRATION),
        "m-2": stand.shadower.reports()["m-2"],
    }
    assert stand.shadower.reports()["m-2"].dropped == 0


async def test_places_are_given_back(stand: Stand) -> None:
    for answer in (whole(), status(500), hang, burst):
        stand.answers["destination"] = answer
        for _ in range(PAIRS_PER_MIGRATION):
            await stand.post()
        await wait_for(lambda: stand.shadower._places.value == CONCURRENT_PAIRS)
    assert stand.report.dropped == 0
    assert stand.report.pairs == 3 * PAIRS_PER_MIGRATION


async def test_what_nobody_foresaw_is_said_without_its_text(stand: Stand) -> None:
    stand.answers["destination"] = burst
    await stand.post()
    await wait_for(lambda: stand.said)
    assert stand.said == ["a pair of shadow m-1 raised ExceptionGroup"]


@pytest.mark.parametrize(
    "copy",
    [
        {"path": "/v1/load_lora_adapter"},
        {"path": "/v1/../sim/faults"},
        {"path": "/metrics"},
        {"body": b"x" * (LARGEST_BODY_BYTES + 1)},
    ],
)
async def test_what_must_not_be_asked_twice_is_dropped(stand: Stand, copy: dict[str, Any]) -> None:
    assert await stand.post(**copy) == 204
    assert stand.report == ShadowReport(dropped=1)
    assert stand.asked == []
    assert stand.shadower._places.value == CONCURRENT_PAIRS


async def test_where_a_side_has_no_replica_nobody_is_asked(stand: Stand) -> None:
    for lacking in (pair(sources=()), pair(destinations=())):
        stand.shadower.pairs = {TENANT: lacking}
        assert await stand.post() == 204
    assert stand.report == ShadowReport(dropped=2)
    assert stand.asked == []


async def test_a_tenant_that_is_not_in_the_shadow_costs_nothing(stand: Stand) -> None:
    assert await stand.post(tenant="another") == 204
    assert await stand.post(method="GET") == 405
    assert stand.report == ShadowReport()
    assert stand.asked == []


async def test_counts_stay_with_their_migration(stand: Stand) -> None:
    await stand.post()
    await stand.after(pairs=1)
    stand.shadower.pairs = {TENANT: pair("m-1", destinations=("another",)), "other": pair("m-2")}
    assert {id: report.pairs for id, report in stand.shadower.reports().items()} == {"m-1": 1, "m-2": 0}
    stand.shadower.pairs = {TENANT: pair("m-3")}
    assert stand.shadower.reports() == {"m-3": ShadowReport()}
    stand.shadower.pairs = {}
    assert stand.shadower.reports() == {}


async def test_a_pair_that_outlives_its_migration_is_forgotten(stand: Stand) -> None:
    stand.answers["destination"] = hang
    await stand.post()
    stand.shadower.pairs = {TENANT: pair("m-2")}
    await wait_for(lambda: stand.shadower._places.value == CONCURRENT_PAIRS)
    assert stand.report == ShadowReport()


async def test_the_socket_is_the_users_alone(stand: Stand) -> None:
    assert stat.S_IMODE(stand.socket.stat().st_mode) == 0o600


def texts_in(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


async def test_no_word_of_a_request_or_an_answer_is_left_anywhere(
    stand: Stand, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = (whole(), streamed(ANSWER), status(500), html, burst, hang)
    for answer in answers:
        stand.answers["destination"] = answer
        await stand.post()
        await wait_for(lambda: stand.shadower._places.value == CONCURRENT_PAIRS)
    left = "\n".join(
        [
            caplog.text,
            *stand.said,
            repr(stand.shadower.__dict__),
            repr(stand.shadower.reports()),
            *texts_in(folder),
        ]
    )
    assert "/v1/" in caplog.text  # it does see what is logged
    for secret in (PROMPT, ANSWER, KEY):
        assert secret not in left
