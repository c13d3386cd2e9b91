"""A controller over actuators that live in memory."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx

from finsight_serve.controller.controller import Controller, Hooks, Parts
from finsight_serve.controller.facts import Fact, StackChosen
from finsight_serve.controller.leaving import LeavingBalancer
from finsight_serve.domain import Event
from finsight_serve.plugin import Replica, Verdict
from finsight_serve.processes import SystemClock
from finsight_serve.stack.values import Stack
from finsight_serve.store import Ledger, Store
from finsight_serve.testing import FakeLoadBalancer, FakeOrchestrator, make_env
from finsight_serve.testing.fake_actuators import FakeWorld

from .worlds import chosen, stack

ON_ONE = stack(("chat", "one"))


class FakeProbe:
    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}

    async def probe(self, replica: Replica, model: str, key: str) -> Verdict:
        return self.verdicts.get(replica.id, "ok")


@dataclass
class Bench:
    """A state folder and worlds that outlive the controllers run on them."""

    folder: Path
    one: FakeWorld = field(default_factory=FakeWorld)
    edge: FakeWorld = field(default_factory=FakeWorld)
    probe: FakeProbe = field(default_factory=FakeProbe)
    events: list[Event] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    veto: str | None = None

    @asynccontextmanager
    async def running(
        self, *first: Fact, on_this_machine: bool = True, left: Mapping[str, FakeWorld] | None = None
    ) -> AsyncIterator[Controller]:
        """`left`: load balancers that left the stack."""
        env = make_env(self.folder, owner="bench")
        store, ledger = Store(self.folder), Ledger(self.folder)
        one = FakeOrchestrator(None, env, self.one)
        one.on_this_machine = on_this_machine
        gone = {
            name: LeavingBalancer(FakeLoadBalancer(None, env, world), env.clock) for name, world in (left or {}).items()
        }
        parts = Parts(
            {"one": one, **gone},  # type: ignore[dict-item]
            FakeLoadBalancer(None, env, self.edge),
            self.probe,  # type: ignore[arg-type]
        )
        hooks = Hooks(lambda backend, plan: self.veto, self.events.append)
        try:
            async with httpx.AsyncClient() as http, anyio.create_task_group() as tasks:
                controller = Controller(
                    self.folder,
                    parts,
                    hooks,
                    store=store,
                    ledger=ledger,
                    clock=SystemClock(),
                    http=http,
                    say=self.said.append,
                )
                tasks.start_soon(controller.run, first)
                yield controller
                tasks.cancel_scope.cancel()
        finally:
            ledger.close()
            store.close()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def route_versions(self) -> list[int]:
        return [plan.artefacts[0].body["version"] for plan in self.edge.applied]

    def routed(self) -> list[str]:
        return [r["id"] for r in self.edge.applied[-1].artefacts[0].body["replicas"]] if self.edge.applied else []


def start(chosen_stack: Stack = ON_ONE) -> StackChosen:
    return chosen(chosen_stack)
