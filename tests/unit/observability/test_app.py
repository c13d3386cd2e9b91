"""What is answered by HTTP: the metrics, where the replicas are, and theirs."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from finsight_serve.controller.metrics import app as app_module
from finsight_serve.controller.metrics.app import metrics_routes
from finsight_serve.controller.metrics.exposition import Exposition
from finsight_serve.controller.metrics.families import Failures
from finsight_serve.controller.probing import Target
from finsight_serve.plugin import Replica
from finsight_serve.store import Ledger, StoreError
from finsight_serve.store.ledger import Counters
from finsight_serve.testing import wait_for

from .scraped import busy_state

pytestmark = pytest.mark.anyio
Answer = Callable[[httpx.Request], httpx.Response]
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
TARGET = Target(Replica("r1", "chat", "10.0.0.7:8000", "ready"), "m", "sk-replica", {})


class Shelf:
    """In a ledger's place."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem, self.go = problem, threading.Event()
        self.go.set()
        self.asked = 0

    def counters(self) -> tuple[Counters, ...]:
        self.asked += 1
        assert self.go.wait(10)
        if self.problem:
            raise self.problem
        return ()


def client(ledger: object, replica: Answer = lambda _: httpx.Response(200)) -> httpx.AsyncClient:
    exposition = Exposition(busy_state, ledger, Failures())  # type: ignore[arg-type]
    to_replicas = httpx.AsyncClient(transport=httpx.MockTransport(replica))
    app = Starlette(routes=metrics_routes(exposition, lambda: (TARGET,), to_replicas))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here:9464")


async def test_metrics_are_told_in_the_format_that_is_asked_for(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        async with client(ledger) as http:
            plain = await http.get("/metrics")
            modern = await http.get("/metrics", headers={"Accept": OPEN_METRICS})
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in text_string_to_metric_families(plain.text)}
    assert names >= {"finsight_requests", "finsight_replicas", "process_start_time_seconds"}
    assert {family.name for family in open_metrics(modern.text)} == names


async def test_building_it_reads_nothing() -> None:
    shelf = Shelf()
    client(shelf)
    assert shelf.asked == 0


async def test_a_ledger_that_fails_takes_nothing_else_along() -> None:
    async with client(Shelf(StoreError("the disk is full"))) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200 and "finsight_ledger_readable 0.0" in answer.text


async def test_scrapes_that_hang_take_one_thread_and_hold_up_nobody() -> None:
    shelf = Shelf()
    shelf.go.clear()
    async with client(shelf) as http, anyio.create_task_group() as tasks:
        for _ in range(60):  # more than there are threads for everybody
            tasks.start_soon(http.get, "/metrics")
        await wait_for(lambda: shelf.asked)
        with anyio.fail_after(5):
            assert await anyio.to_thread.run_sync(lambda: "at once") == "at once"
        assert shelf.asked == 1
        shelf.go.set()


async def test_prometheus_finds_the_replicas_behind_a_path_of_ours() -> None:
    async with client(Shelf()) as http:
        found = (await http.get("/replicas")).json()
    labels = {"deployment": "chat", "replica": "r1", "instance": "10.0.0.7:8000"}
    assert found == [{"targets": ["here:9464"], "labels": {"__metrics_path__": "/replicas/r1/metrics", **labels}}]


async def test_a_replica_is_read_with_its_key_which_goes_no_further() -> None:
    asked: list[httpx.Request] = []

    def replica(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text="vllm:x 1\n", headers={"content-type": "text/plain; version=0.0.4"})

    async with client(Shelf(), replica) as http:
        answer = await http.get("/replicas/r1/metrics", headers={"Authorization": "Bearer theirs"})
    assert (answer.text, answer.headers["content-type"]) == ("vllm:x 1\n", "text/plain; version=0.0.4")
    (request,) = asked
    assert (str(request.url), request.headers["authorization"]) == ("http://10.0.0.7:8000/metrics", "Bearer sk-replica")
    assert "sk-replica" not in answer.text + str(answer.headers)


async def test_what_the_replica_refuses_is_refused() -> None:
    async with client(Shelf(), lambda _: httpx.Response(401, text="no")) as http:
        assert (await http.get("/replicas/r1/metrics")).status_code == 401


async def test_a_replica_that_is_gone_is_a_bad_gateway() -> None:
    def gone(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with client(Shelf(), gone) as http:
        assert (await http.get("/replicas/r1/metrics")).status_code == 502


async def test_a_replica_that_hangs_is_waited_for_no_longer_than_prometheus_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_module, "REPLICA_TIMEOUT_S", 0.05)

    async def hang(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with client(Shelf(), hang) as http:  # type: ignore[arg-type]
        assert (await http.get("/replicas/r1/metrics")).status_code == 504


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/status", "/intents", "//metrics", "/replicas/r2/metrics", "/replicas/10.0.0.7:22/metrics"),
        *("/replicas/../status", "/replicas/%2e%2e%2fmetrics/metrics", "/replicas/r1/../../metrics/x"),
    ],
)
async def test_nothing_else_is_there(path: str) -> None:
    async with client(Shelf()) as http:
        assert (await http.get(path)).status_code == 404


async def test_nothing_can_be_changed_here() -> None:
    async with client(Shelf()) as http:
        for path in ("/metrics", "/replicas", "/replicas/r1/metrics"):
            assert (await http.post(path)).status_code == 405
