"""The orchestrator as the core sees it: check, compile, apply, observe."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from finsight_serve.capabilities import Scratch
from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, DeploymentSpec, Feature, Observed, Plan, Problem

from .convergence import Convergence
from .manifest import dump_artefacts, load_artefacts, read_plan, write_plan
from .options import LocalOptions
from .ports import describe_holder, is_free
from .record import replace_file
from .replicas import Replicas

POLL_S = 0.2
REPEAT_S = 1.0


class LocalOrchestrator:
    name: ClassVar[str] = "local"
    Options: ClassVar[type[BaseModel]] = LocalOptions
    lacks: ClassVar[Mapping[Feature, str]] = {
        Feature.SCALING: "plain processes do not follow the load: their number is fixed at min_replicas",
        Feature.GPUS: "plain processes are not confined: every replica sees all GPUs of the machine",
    }
    on_this_machine = True

    def __init__(self, options: LocalOptions, env: Env) -> None:
        self._options = options
        self._env = env
        self._replicas = Replicas(options, env)
        self._applied = env.state_dir / "applied.json"

    @staticmethod
    def drill_options(scratch: Scratch) -> Mapping[str, Any]:
        return {"drain_timeout_s": 10, "drain_delay_s": 5}  # where the load is the drill's own, nginx is told late

    def check(self) -> Sequence[Problem]:
        ours = {record.port for record in self._replicas.records.read() if self._replicas.is_alive(record)}
        return [
            Problem(
                f"port {port} of deployment {deployment!r} is in use by {describe_holder(port)}",
                "stop it, or choose another port",
                field=f"ports.{deployment}",
            )
            for deployment, port in self._options.ports.items()
            if port not in ours and not is_free(port)
        ]

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        return write_plan(want, self._options.ports)

    async def apply(self, plan: Plan) -> None:
        """Returns when no replica is missing, surplus or outdated; new ones may still be starting.

        Waits for successors to be ready and for predecessors to drain, so it may take as long as a model takes
        to load. One that died is started again not before its backoff is over: a later apply() does it.
        """
        wanted = {item.deployment: item for item in read_plan(plan)}
        try:
            await Convergence(wanted, self._replicas, self._env).run()
            replace_file(self._applied, dump_artefacts(plan.artefacts))
            self._replicas.prune_logs()
        except OSError as error:
            raise ApplyError(f"{self._env.state_dir}: {error}") from error
        except ExceptionGroup as group:
            full, others = group.split(OSError)
            if full is None or others is not None:
                raise
            raise ApplyError(f"{self._env.state_dir}: {full.exceptions[0]}") from group

    async def observe(self) -> AsyncIterator[Observed]:
        """Also repeats a snapshot that shows a failed replica: its successor starts in an apply() after its backoff."""
        last: Observed | None = None
        repeat_at_s = 0.0
        async with self._env.http() as http:
            while True:
                now = self._look()
                failed = any(replica.state == "failed" for replica in now.replicas)
                if now != last or (failed and self._env.clock.now() >= repeat_at_s):
                    yield now
                    last, repeat_at_s = now, self._env.clock.now() + REPEAT_S
                await self._replicas.note_ready(http)
                await self._env.clock.sleep(POLL_S)

    def _look(self) -> Observed:
        try:
            in_force = load_artefacts(self._applied.read_text())
        except FileNotFoundError:
            in_force = ()
        return Observed(tuple(self._replicas.describe(record) for record in self._replicas.records.read()), in_force)
