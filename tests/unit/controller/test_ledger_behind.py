"""What the controller does while its ledger can't be measured or isn't kept up with."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from finsight_serve.controller import controller as module
from finsight_serve.controller import tailing
from finsight_serve.controller.controller import Controller
from finsight_serve.controller.facts import Measured
from finsight_serve.plugin import Feature, Request
from finsight_serve.store import StoreError
from finsight_serve.testing import FakeLoadBalancer, wait_for

from .test_controller import Bench, start

pytestmark = pytest.mark.anyio


class Gone:
    """Requests of a log that can't be read any more."""

    def __getitem__(self, key: slice) -> list[Request]:
        raise OSError("the log is gone")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """It looks ten times a second, so that a test takes no longer than it must."""
    monkeypatch.setattr(module, "CLOCK_PERIOD_S", 0.1)
    monkeypatch.setattr(tailing, "BATCH_S", 0.1)
    with TemporaryDirectory(prefix="fs-") as folder:  # short: a unix socket lives in it
        bench = Bench(Path(folder))
        bench.edge.requests = [answered()]
        yield bench


def answered() -> Request:
    return Request("1", "a", "default", "chat", "127.0.0.1:1", 200, "complete", time.time() - 1, 0.5, 0.1)


def asked(controller: Controller) -> Callable[[], int | None]:
    """How many requests the window of `chat` holds, as far as it is known."""

    def look() -> int | None:
        known = controller._state.measured.get("chat")
        return known.requests if known else None

    return look


def behind(bench: Bench) -> list[str]:
    return [event.reason for event in bench.events if event.kind == "ledger_behind"]


@pytest.mark.parametrize("error", [TypeError("no order"), StoreError("the disk is full"), AssertionError()])
async def test_whatever_goes_wrong_in_measuring_the_controller_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    measure, tries = module.measure, []

    def fails(*given: Any) -> Measured:
        tries.append(given)
        raise error

    async with bench.running(start()) as controller:
        await wait_for(lambda: asked(controller)() == 1)
        monkeypatch.setattr(module, "measure", fails)
        await wait_for(lambda: len(tries) >= 2)
        assert asked(controller)() is None
        (reason,) = behind(bench)
        assert reason.startswith(f"not measured: {type(error).__name__}: {error}")
        monkeypatch.setattr(module, "measure", measure)
        await wait_for(lambda: asked(controller)() == 1)
        assert controller.is_ready


async def test_a_log_that_is_not_read_any_more_is_not_known_rather_than_as_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEDGER_IS_OLD_S", 0.7)
    async with bench.running(start()) as controller:
        await wait_for(lambda: asked(controller)() == 1)
        log, bench.edge.requests = bench.edge.requests, Gone()  # type: ignore[assignment]
        bench.edge.notify()
        await wait_for(lambda: asked(controller)() is None)
        assert set(behind(bench)) == {"OSError: the log is gone"}
        bench.edge.requests = log
        await wait_for(lambda: asked(controller)() == 1, deadline_s=20)


async def test_a_log_that_stays_empty_is_kept_up_with(bench: Bench) -> None:
    bench.edge.requests = []
    async with bench.running(start()) as controller:
        await wait_for(lambda: asked(controller)() == 0)
    assert behind(bench) == []


async def test_a_load_balancer_without_a_ledger_is_measured_as_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLoadBalancer, "lacks", {Feature.LEDGER: "it writes no log"})
    bench.edge.requests = Gone()  # type: ignore[assignment]
    async with bench.running(start()) as controller:
        await wait_for(lambda: asked(controller)() == 0)
