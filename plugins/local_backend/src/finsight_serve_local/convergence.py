"""One apply(): look, decide, act, until every deployment is settled or has failed."""

from collections.abc import Mapping, Sequence

import anyio
from anyio.abc import TaskGroup

from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError

from .decision import Step, decide
from .manifest import Wanted
from .marks import end_strays
from .record import Record
from .replicas import Replicas

POLL_S = 0.2


class Convergence:
    def __init__(self, wanted: Mapping[str, Wanted], replicas: Replicas, env: Env) -> None:
        self._wanted, self._replicas, self._env = wanted, replicas, env
        self._failures: dict[str, str] = {}  # deployment → why
        self._stopping: set[str] = set()  # ids
        self._started: set[str] = set()  # ids

    async def run(self) -> None:
        """Raises `ApplyError` for the deployments that failed, once the others are settled."""
        settled = False
        async with anyio.create_task_group() as stops, self._env.http() as http:
            while not settled:
                await self._replicas.note_ready(http)
                records = self._replicas.records.read()
                names = self._wanted.keys() | {record.deployment for record in records}
                steps = [self._take_step(name, records, stops) for name in sorted(names - self._failures.keys())]
                settled = all(step.settled for step in steps) and not self._stopping
                if not settled:
                    await self._env.clock.sleep(POLL_S)
        if self._failures:
            raise ApplyError("; ".join(f"{name}: {why}" for name, why in self._failures.items()))

    def _take_step(self, name: str, records: Sequence[Record], stops: TaskGroup) -> Step:
        wanted = self._wanted.get(name, Wanted(name))
        own = {record.id: record for record in records if record.deployment == name}
        alive = {id for id, record in own.items() if self._replicas.is_alive(record)}
        step = decide(wanted, list(own.values()), alive, self._env.clock.now())
        try:
            for id in step.drain:
                self._replicas.records.update(own[id], draining=True)
            for id in alive - self._stopping:
                if own[id].draining or id in step.drain:
                    self._stopping.add(id)
                    stops.start_soon(self._stop, own[id], wanted.replicas > 0)
            if lost := self._find_lost(step):
                reason = self._replicas.read_reason(lost)
                raise ApplyError(f"the new replica ended, the old ones go on serving. It said: {reason}")
            for id in step.forget:
                end_strays(id)
                self._replicas.records.remove(id)
            self._started |= {self._replicas.start(wanted, start) for start in step.start}
        except (OSError, ApplyError) as error:
            self._failures[name] = str(error)
        return step

    def _find_lost(self, step: Step) -> str | None:
        """A successor that died, unless it did so before and now gets another try."""
        tried = [id for id in step.crashed if id in self._started]
        return next(iter(tried or (() if step.start else step.crashed)), None)

    async def _stop(self, record: Record, others_serve: bool) -> None:
        await self._replicas.stop(record, others_serve=others_serve)
        self._stopping.discard(record.id)
