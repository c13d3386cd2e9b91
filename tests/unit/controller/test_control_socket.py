"""What a controller tells over its socket, and to whom."""

import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from finsight_serve.controller.client import Client
from finsight_serve.controller.facts import StopAsked
from finsight_serve.controller.wire import socket_path
from finsight_serve.store import Store, StoreError
from finsight_serve.testing import wait_for

from .bench import Bench, start

pytestmark = pytest.mark.anyio


async def test_the_socket_is_its_owners_alone(bench: Bench) -> None:
    bench.folder.chmod(0o755)
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        assert socket_path(bench.folder).stat().st_mode & 0o777 == 0o600


async def test_status_travels_over_the_socket(bench: Bench) -> None:
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        status = await anyio.to_thread.run_sync(Client(bench.folder).status)
        assert status is not None
        assert (status.stack, status.deployments[0].ready, status.replicas[0].state) == ("test", 1, "ready")
        assert await anyio.to_thread.run_sync(Client(bench.folder).is_ready)


def test_where_no_controller_runs_the_client_says_so(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert client.status() is None and not client.is_ready() and not client.intend(StopAsked(keep=frozenset()))


async def scraped(bench: Bench) -> str:
    transport = httpx.AsyncHTTPTransport(uds=str(socket_path(bench.folder)))
    async with httpx.AsyncClient(transport=transport) as http:
        return (await http.get("http://controller/metrics")).text


async def test_metrics_are_told_over_the_socket_with_what_could_not_be_applied(bench: Bench) -> None:
    bench.one.failure = "no quota"
    async with bench.running(start()):
        await wait_for(lambda: "apply_failed" in bench.kinds())
        text = await scraped(bench)
    assert 'finsight_backend_state{backend="one",state="not_applied"} 1.0' in text
    assert re.search(r'^finsight_apply_failures_total{backend="one"} [1-9]', text, re.M)
    assert "finsight_store_failures_total 0.0" in text


async def test_each_try_to_store_that_fails_is_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    left, commit = iter(range(2)), Store.commit

    async def fail_twice(store: Store, *given: Any) -> None:
        if next(left, None) is not None:
            raise StoreError("the disk is full")
        await commit(store, *given)

    monkeypatch.setattr(Store, "commit", fail_twice)
    async with bench.running(start()) as controller:
        await wait_for(lambda: controller.is_ready)
        assert "finsight_store_failures_total 2.0" in await scraped(bench)
