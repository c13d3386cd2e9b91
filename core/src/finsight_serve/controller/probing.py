"""Asks the ready replicas, some at a time, and reads their engines' own figures on the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio
import httpx
from prometheus_client.parser import text_string_to_metric_families

from ..env import Clock
from ..errors import one_line
from ..plugin import HealthProbe, Replica
from .actuator import Report
from .facts import Probed
from .state import ReplicaLoad

CONCURRENT_PROBES = 16
METRICS_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Target:
    replica: Replica
    model: str
    key: str = field(repr=False)
    signals: Mapping[str, str] = field(default_factory=dict)


class Prober:
    """`targets` is replaced by the reducer; each target is asked once a period."""

    def __init__(
        self, probe: HealthProbe, http: httpx.AsyncClient, report: Report, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self.targets: tuple[Target, ...] = ()
        self.period_s = 10.0
        self._probe, self._http, self._report, self._clock, self._say = probe, http, report, clock, say

    async def run(self) -> None:
        running: set[str] = set()
        limit = anyio.CapacityLimiter(CONCURRENT_PROBES)

        async def ask(target: Target) -> None:
            try:
                async with limit:
                    await self._ask(target)
            except Exception as error:  # a plugin may raise anything; that is no verdict on the replica
                self._say(f"the probe of {target.replica.id} raised {one_line(error)}")
            finally:
                running.discard(target.replica.id)

        async with anyio.create_task_group() as tasks:
            while True:
                for target in self.targets:
                    if target.replica.id not in running:  # a slow answer is waited for, not asked again
                        running.add(target.replica.id)
                        tasks.start_soon(ask, target)
                await self._clock.sleep(self.period_s)

    async def _ask(self, target: Target) -> None:
        before = await read_load(self._http, target)
        verdict = await self._probe.probe(target.replica, target.model, target.key)
        # where the counter could not be read before, nothing can be said of its movement: waiting again only delays
        after = before if before.tokens is None else await read_load(self._http, target)
        moved = before.tokens is not None and after.tokens is not None and after.tokens > before.tokens
        await self._report(Probed(target.replica.id, verdict, moved, after))


async def read_load(http: httpx.AsyncClient, target: Target) -> ReplicaLoad:
    """The engine's figures by the metric names that its launch gave; None for each that can't be had."""
    with anyio.move_on_after(METRICS_TIMEOUT_S):  # the client's own timeout starts anew with each byte
        try:
            answer = await http.get(
                f"http://{target.replica.address}/metrics", headers={"Authorization": f"Bearer {target.key}"}
            )
            answer.raise_for_status()
            return parse_load(answer.text, target.signals)
        except (httpx.HTTPError, ValueError):
            pass
    return ReplicaLoad()


def parse_load(text: str, signals: Mapping[str, str]) -> ReplicaLoad:
    """Sums each signal's samples over their labels. Raises `ValueError` on text that is not Prometheus'."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return ReplicaLoad(*(sums.get(signals.get(name, "")) for name in ("running", "waiting", "tokens")))
