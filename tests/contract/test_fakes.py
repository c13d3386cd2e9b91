"""The public fakes keep the contract: the one in memory passes the kit, the world answering for its replicas."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from finsight_serve.env import Env, Outcome
from finsight_serve.plugin import ApplyError, Orchestrator, Replica, Request, RouteTable
from finsight_serve.testing import (
    FakeClock,
    FakeLoadBalancer,
    FakeOrchestrator,
    FakeProcesses,
    OrchestratorConformance,
    echo_launch,
    make_env,
    snapshot_when,
    wait_for,
)
from finsight_serve.testing.echo import VERSION_ENV
from finsight_serve.testing.fake_actuators import FakeWorld
from finsight_serve.testing.orchestrator import KEY, want


class Remote(FakeOrchestrator):
    on_this_machine = False  # so that the kit looks for no process


class TestFakeOrchestrator(OrchestratorConformance):
    @pytest.fixture(autouse=True)
    def world(self) -> Iterator[FakeWorld]:
        self.shared = FakeWorld()
        yield self.shared

    @pytest.fixture
    def plugin(self) -> type[Any]:
        return Remote

    def make(self, plugin: type[Any], options: Mapping[str, Any], env: Env) -> Any:
        return plugin(plugin.Options.model_validate(options), env, self.shared)

    async def ask(self, replica: Replica, key: str = KEY) -> httpx.Response:
        if replica.id not in self.shared.replicas:
            raise httpx.ConnectError("no such replica")
        runs = self.shared.replicas[replica.id][2]
        version = "2" if VERSION_ENV in runs else ""
        number = replica.id.split("-")[1]
        said = {"pid": number, "process": number, "version": version}
        return httpx.Response(200 if key == KEY else 401, json=said)

    test_lost_signal_is_answered_as_the_policy_says = None  # there is no load, so no signal
    # there is no process to kill or to fail; test_world_rules_the_fakes does both by the world
    test_launch_that_cannot_run_is_explained_and_can_be_mended = None
    test_killed_replica_is_replaced = None
    test_failing_start_is_explained_and_can_be_mended = None


@pytest.mark.anyio
async def test_world_rules_the_fakes(tmp_path: Path) -> None:
    world = FakeWorld(starts_ready=False)
    fake: Orchestrator = FakeOrchestrator(None, make_env(tmp_path), world)
    plan = fake.compile(want(echo_launch(KEY), 1))
    await fake.apply(plan)
    (replica,) = (await snapshot_when(fake, lambda seen: bool(seen.replicas))).replicas
    assert replica.state == "starting"
    world.make_ready(replica.id)
    await snapshot_when(fake, lambda seen: seen.replicas[0].state == "ready")
    world.fail(replica.id, "out of memory")
    await snapshot_when(fake, lambda seen: seen.replicas[0].reason == "out of memory")
    await fake.apply(plan)
    (heir,) = (await snapshot_when(fake, lambda seen: seen.replicas[0].state == "starting")).replicas
    assert heir.id != replica.id
    world.failure = "the API server is away"
    with pytest.raises(ApplyError, match="away"):
        await fake.apply(plan)
    world.failure, world.hangs = None, True
    with anyio.move_on_after(0.05) as scope:
        await fake.apply(plan)
    assert scope.cancelled_caught
    world.blind = "the API server is away"
    with pytest.raises(ConnectionError, match="away"):
        await snapshot_when(fake, lambda _: True)


@pytest.mark.anyio
async def test_fake_observer_misses_no_change(tmp_path: Path) -> None:
    """A change that is made while the consumer is busy with the snapshot before it."""
    world = FakeWorld()
    fake = FakeOrchestrator(None, make_env(tmp_path), world)
    await fake.apply(fake.compile(want(echo_launch(KEY), 1)))
    snapshots = fake.observe()
    (replica,) = (await anext(snapshots)).replicas
    world.fail(replica.id, "gone")
    with anyio.fail_after(60):
        assert (await anext(snapshots)).replicas[0].state == "failed"


@pytest.mark.anyio
async def test_fake_load_balancer_keeps_a_ledger(tmp_path: Path) -> None:
    world = FakeWorld(open_streams={("acme", "chat"): 2})
    fake = FakeLoadBalancer(None, make_env(tmp_path), world)
    plan = fake.compile(RouteTable(upstream_keys={"chat": "plain-text"}))
    assert "plain-text" not in repr([artefact for artefact in plan.artefacts if not artefact.secret])
    await fake.apply(plan)
    seen = await snapshot_when(fake, lambda seen: seen.in_force == plan.artefacts)
    assert seen.open_streams == {("acme", "chat"): 2}
    for id in ("a", "b"):
        world.record(Request("", id, "acme", "chat", "", 200, "complete", 0.0, 1.0, 0.1))
    first = await anext(fake.requests(""))
    assert first.id == "a" and (await anext(fake.requests(first.cursor))).id == "b"


@pytest.mark.anyio
async def test_fake_clock_wakes_sleepers_in_order() -> None:
    clock = FakeClock(100.0)
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *delays_s: float) -> None:
        for delay_s in delays_s:
            await clock.sleep(delay_s)
            woken.append((name, clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep, "a", 3, 3)
        tasks.start_soon(sleep, "b", 2, 2)
        await clock.advance(5)
        assert woken == [("b", 102), ("a", 103), ("b", 104)] and clock.now() == 105
        await clock.advance(1)
    assert woken[-1] == ("a", 106)


@pytest.mark.anyio
async def test_fake_processes_remember(tmp_path: Path) -> None:
    processes = FakeProcesses(answer=lambda argv: Outcome(len(argv), "", ""))
    assert (await processes.run(["a", "b"])).code == 2 and processes.ran == [("a", "b")]
    first = processes.start(["engine"], env={"A": "1"}, log=tmp_path / "log")
    second = processes.start(["engine"], log=tmp_path / "log")
    assert processes.started[0].env == {"A": "1"} and processes.alive(first)
    processes.end(first)
    await processes.stop(second, grace_s=1)
    assert not processes.alive(first) and not processes.alive(second) and processes.stopped == [second]
    await wait_for(lambda: not (tmp_path / "log").exists())
