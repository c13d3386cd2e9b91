"""An orchestrator and a load balancer that live in memory and keep the contract. For unit tests."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
from pydantic import BaseModel, ConfigDict

from ..domain import AutoscalingPolicy
from ..env import Env
from ..plugin import (
    ApplyError,
    Artefact,
    DeploymentSpec,
    Feature,
    Grade,
    Observed,
    Plan,
    Problem,
    Replica,
    Request,
    RouteTable,
)


class NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


@dataclass
class FakeWorld:
    """What outlives a fake: hand the same world to a second instance and it adopts. Change it by its methods."""

    starts_ready: bool = True  # else replicas are "starting" until set_state()
    failure: str | None = None  # while set, apply() raises it as `ApplyError`
    failure_lasts: bool = False  # and says that waiting mends nothing
    hangs: bool = False  # apply() does not return until it is cancelled
    blind: str | None = None  # while set, observe() raises it
    applied: list[Plan] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    open_streams: Mapping[tuple[str, str], int] = field(default_factory=dict)
    replicas: dict[str, tuple[str, Replica, Any]] = field(default_factory=dict)  # id → owner, replica, what it runs
    _started: int = 0
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def change(self) -> anyio.Event:
        """Set at the next change. Take it before looking, so that no change is missed."""
        return self._changed

    def start(self, owner: str, deployment: str, runs: Any) -> None:
        self._started += 1
        id = f"{deployment}-{self._started}"
        replica = Replica(id, deployment, f"127.0.0.1:{20000 + self._started}", "starting")
        self.replicas[id] = (owner, replace(replica, state="ready") if self.starts_ready else replica, runs)

    def set_state(self, id: str, replica: Replica) -> None:
        owner, _, runs = self.replicas[id]
        self.replicas[id] = (owner, replica, runs)
        self.notify()

    def make_ready(self, id: str) -> None:
        self.set_state(id, replace(self.replicas[id][1], state="ready"))

    def fail(self, id: str, reason: str) -> None:
        self.set_state(id, replace(self.replicas[id][1], state="failed", reason=reason))

    def record(self, request: Request) -> None:
        """Adds a ledger line; its cursor becomes its position."""
        self.requests.append(replace(request, cursor=str(len(self.requests) + 1)))
        self.notify()


class _Fake:
    Options: ClassVar[type[BaseModel]] = NoOptions
    lacks: ClassVar[Mapping[Feature, str]] = {}
    on_this_machine = True

    def __init__(self, options: object, env: Env, world: FakeWorld | None = None) -> None:
        self.owner = env.owner
        self.world = world or FakeWorld()

    def check(self) -> Sequence[Problem]:
        return ()

    async def _begin(self, plan: Plan) -> None:
        if self.world.hangs:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        if self.world.failure:
            raise ApplyError(self.world.failure, lasting=self.world.failure_lasts)
        self.world.applied.append(plan)

    async def observe(self) -> AsyncIterator[Observed]:
        last: Observed | None = None
        while True:
            change = self.world.change
            if self.world.blind:
                raise ConnectionError(self.world.blind)
            now = self._look()
            if now != last:
                yield now
                last = now
            await change.wait()

    def _look(self) -> Observed:
        raise NotImplementedError


class FakeOrchestrator(_Fake):
    name: ClassVar[str] = "fake"

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        artefacts: list[Artefact] = []
        for spec in want:
            policy = json.loads(json.dumps(asdict(spec.policy)))  # lists for tuples, as JSON has it
            body = {"policy": policy, "argv": list(spec.launch.argv), "evict": sorted(spec.evict)}
            artefacts.append(Artefact(spec.name, body))
            artefacts.append(Artefact(f"{spec.name}.env", dict(spec.launch.env), secret=True))
        grades = {(spec.name, item.name): Grade("exact") for spec in want for item in fields(AutoscalingPolicy)}
        return Plan(tuple(artefacts), grades)

    async def apply(self, plan: Plan) -> None:
        await self._begin(plan)
        bodies = {artefact.name: artefact.body for artefact in plan.artefacts}
        names = [artefact.name for artefact in plan.artefacts if not artefact.secret]
        for id, (owner, replica, _) in list(self.world.replicas.items()):
            if owner == self.owner and replica.deployment not in names:
                del self.world.replicas[id]
        for name in names:
            self._apply_one(name, bodies[name], json.dumps([bodies[name]["argv"], bodies[f"{name}.env"]]))
        self.world.notify()

    def _apply_one(self, name: str, body: Mapping[str, Any], runs: str) -> None:
        kept = 0
        for id, (owner, replica, ran) in list(self.world.replicas.items()):
            if owner != self.owner or replica.deployment != name:
                continue
            fits = ran == runs and replica.state != "failed" and id not in body["evict"]
            if fits and kept < body["policy"]["min_replicas"]:
                kept += 1
            else:
                del self.world.replicas[id]
        for _ in range(body["policy"]["min_replicas"] - kept):
            self.world.start(self.owner, name, runs)

    def _look(self) -> Observed:
        return Observed(tuple(replica for owner, replica, _ in self.world.replicas.values() if owner == self.owner))


class FakeLoadBalancer(_Fake):
    name: ClassVar[str] = "fake-lb"
    url = "http://127.0.0.1:8000"

    def compile(self, want: RouteTable) -> Plan:
        routes = [asdict(route) | {"key_sha256": list(route.key_sha256)} for route in want.routes]
        table = {
            "routes": routes,
            "replicas": [asdict(replica) for replica in want.replicas],
            "version": want.version,
            "refs": dict(want.refs),
            "shadow_socket": want.shadow_socket,
            "fronts": want.fronts,
        }
        return Plan((Artefact("table", table), Artefact("upstream-keys", dict(want.upstream_keys), secret=True)))

    async def apply(self, plan: Plan) -> None:
        await self._begin(plan)
        self.world.notify()

    def _look(self) -> Observed:
        in_force = self.world.applied[-1].artefacts if self.world.applied else ()
        return Observed(in_force=in_force, open_streams=dict(self.world.open_streams))

    async def requests(self, after: str) -> AsyncIterator[Request]:
        position = int(after or 0)
        while True:
            change = self.world.change
            for request in self.world.requests[position:]:
                yield request
                position += 1
            await change.wait()
