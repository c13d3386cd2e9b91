"""A recorded stretch of a working day, asked as it was by OpenAI's own client: the independent ledger of what came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import anyio

from finsight_serve.lab.trace import read_trace

from .load import Answer, Caller

TRACE = Path(__file__).parents[2] / "examples/finsight/traces/servegen_five_clients_14d.csv"
CLIENTS = (1, 156, 69, 107, 103)
PER_DAY = 2000
DAY = 9  # a working day
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Arrival:
    after_s: float  # the replay's begin
    tenant: str


@dataclass(frozen=True)
class Asked:
    tenant: str
    answer: Answer


def stretch(tenants: Sequence[str], *, from_hour: float, hours: float, speed: float) -> list[Arrival]:
    """What the trace's clients asked on a working day, each standing for a tenant, `speed` times as fast."""
    trace = read_trace(TRACE, days=[DAY], clients=CLIENTS, per_client_per_day=PER_DAY)
    assert trace.tenant is not None
    begin_s = DAY * 86_400 + from_hour * 3600
    return [
        Arrival((float(at_s) - begin_s) / speed, tenants[int(who)])
        for at_s, who in zip(trace.arrival_s, trace.tenant, strict=True)
        if begin_s <= at_s < begin_s + hours * 3600
    ]


class Replay:
    """Asks each arrival at its time, whatever became of the earlier ones, from `with` to its end (or `stop`)."""

    def __init__(
        self, url: str, keys: Mapping[str, str], model: str, arrivals: Sequence[Arrival], *, tokens: int
    ) -> None:
        self.asked: list[Asked] = []
        self._url, self._keys, self._model = url, keys, model
        self._arrivals, self._tokens = arrivals, tokens
        self._stopped = False
        self._thread = Thread(target=anyio.run, args=(self._run,), name="replay", daemon=True)

    def __enter__(self) -> "Replay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What is open is waited for."""
        self._stopped = True
        self._thread.join(PATIENCE_S)

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def count(self, tenant: str) -> int:
        return sum(asked.tenant == tenant for asked in self.asked.copy())

    async def _run(self) -> None:
        began_s = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for arrival in self._arrivals:
                await anyio.sleep_until(began_s + arrival.after_s)
                if self._stopped:
                    return
                tasks.start_soon(self._ask, arrival)

    async def _ask(self, arrival: Arrival) -> None:
        async with Caller(self._url, self._keys[arrival.tenant], self._model) as caller:
            self.asked.append(Asked(arrival.tenant, await caller.ask(self._tokens)))
