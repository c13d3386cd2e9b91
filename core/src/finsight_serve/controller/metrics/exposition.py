"""One scrape: the families of the moment, read and written on a thread of their own."""

from collections.abc import Callable, Iterator

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ...store import Ledger, StoreError
from ...store.ledger import Counters
from ..state import State
from .families import Failures, families


class Exposition:
    """Scrapes wait for one another, never the controller for them: they have one thread, whoever asks how often."""

    def __init__(self, state: Callable[[], State], ledger: Ledger, failures: Failures) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Snapshots(state, ledger, failures))
        ProcessCollector(registry=self._registry)
        self._one = anyio.CapacityLimiter(1)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """The text and its content type: OpenMetrics' where `accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return await anyio.to_thread.run_sync(encode, self._registry, limiter=self._one), content_type


class _Snapshots(Collector):
    def __init__(self, state: Callable[[], State], ledger: Ledger, failures: Failures) -> None:
        self._state, self._ledger, self._failures = state, ledger, failures

    def describe(self) -> Iterator[Metric]:
        """None beforehand: registering must not read the ledger."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        return families(self._state(), self._counters(), self._failures)

    def _counters(self) -> tuple[Counters, ...] | None:
        try:
            return self._ledger.counters()
        except StoreError:
            return None
