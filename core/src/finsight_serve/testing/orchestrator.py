"""What every orchestrator must fulfil. An outsider subclasses `OrchestratorConformance` and overrides `plugin`."""

import os
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import psutil
import pytest

from ..env import Env
from ..plugin import ApplyError, Feature, Launch, Observed, Orchestrator, Plan, Replica
from .compilation import KEY, NAME, CompilationConformance, want
from .echo import FAIL_ENV, VERSION_ENV
from .real_env import make_env
from .waiting import converge, snapshot_when, wait_for


class OrchestratorConformance(CompilationConformance):
    """Compile: pure, honest about its fidelity. Apply: idempotent, prunes only its own. Observe: whole, at once."""

    @pytest.fixture
    def other_env(self, tmp_path: Path) -> Env:
        """Another owner's, in the same world as `env`."""
        return make_env(tmp_path / "other")

    @pytest.fixture
    def other_options(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """That owner's, where an option is what keeps two of them apart: a namespace."""
        return options

    @pytest.fixture
    async def orchestrator(
        self, plugin: type[Any], options: Mapping[str, Any], env: Env
    ) -> AsyncIterator[Orchestrator]:
        """An instance; what runs when the check is over is taken down."""
        self.skip_if_lacking(plugin, Feature.APPLY)
        made: Orchestrator = self.make(plugin, options, env)
        yield made
        await made.apply(made.compile(()))

    async def ask(self, replica: Replica, key: str = KEY) -> httpx.Response:
        """What the replica answers at its address. Override it only where that is reached in another way."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=10) as http:
            return await http.post(f"http://{replica.address}/v1/chat/completions", json={}, headers=headers)

    async def ask_pid(self, replica: Replica) -> int:
        return int((await self.ask(replica)).json()["pid"])

    async def ask_process(self, replica: Replica) -> str:
        """Which process answers: another one after each start."""
        return str((await self.ask(replica)).json()["process"])

    async def kill(self, orchestrator: Orchestrator, replica: Replica) -> None:
        """Ends its process at once, as a crash does. Override it where that isn't one of this machine's."""
        if not orchestrator.on_this_machine:
            pytest.skip("its replicas are on another machine, so no process can be killed: override `kill`")
        os.kill(await self.ask_pid(replica), signal.SIGKILL)

    async def cut_signal(self, orchestrator: Orchestrator) -> None:
        """Takes from the autoscaler what it decides by. Override it where that can be done from outside."""
        pytest.skip("what its autoscaler decides by can't be taken away from here: override `cut_signal`")

    async def bring_up(
        self, plugin: Orchestrator, launch: Launch, count: int, deadline_s: float
    ) -> tuple[Replica, ...]:
        """Converges to exactly `count` replicas that serve; sorted by id."""

        def is_up(snapshot: Observed) -> bool:
            return len(ready(snapshot)) == count and all(r.state in ("ready", "draining") for r in snapshot.replicas)

        snapshot = await converge(plugin, plugin.compile(want(launch, count)), is_up, deadline_s)
        for replica in ready(snapshot):
            assert (await self.ask(replica)).status_code == 200
        return ready(snapshot)

    async def take_down(self, plugin: Orchestrator, deadline_s: float) -> None:
        await converge(plugin, plugin.compile(()), lambda snapshot: not snapshot.replicas, deadline_s)

    @pytest.mark.anyio
    async def test_observe_yields_before_anything_runs(self, orchestrator: Orchestrator, deadline_s: float) -> None:
        first = await snapshot_when(orchestrator, lambda _: True, deadline_s / 4)
        assert first.replicas == ()

    @pytest.mark.anyio
    async def test_replicas_answer_to_their_key_only(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        (replica,) = await self.bring_up(orchestrator, launch, 1, deadline_s)
        assert (await self.ask(replica)).json().keys() == {"pid", "process", "version"}
        assert (await self.ask(replica, key="")).status_code == 401
        assert (await self.ask(replica, key="another")).status_code == 401

    @pytest.mark.anyio
    async def test_apply_again_changes_nothing(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        before = await self.bring_up(orchestrator, launch, 2, deadline_s)
        processes = [await self.ask_process(replica) for replica in before]
        await orchestrator.apply(orchestrator.compile(want(launch, 2)))
        assert await self.bring_up(orchestrator, launch, 2, deadline_s) == before
        assert [await self.ask_process(replica) for replica in before] == processes

    @pytest.mark.anyio
    async def test_what_is_in_force_is_what_was_applied(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        """Else `fs plan` shows a difference where there is none."""
        await self.bring_up(orchestrator, launch, 1, deadline_s)
        applied = orchestrator.compile(want(launch, 1))
        await snapshot_when(orchestrator, lambda s: is_in_force(applied, s), deadline_s)

    @pytest.mark.anyio
    async def test_changed_policy_keeps_replicas(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        """Numbers are put in force live; nothing that serves is touched."""
        before = await self.bring_up(orchestrator, launch, 1, deadline_s)
        process = await self.ask_process(before[0])
        (spec,) = want(launch, 1)
        policy = replace(spec.policy, max_replicas=3, target_ongoing_requests=7.0, downscale_delay_s=120.0)
        plan = orchestrator.compile((replace(spec, policy=policy),))
        await converge(orchestrator, plan, lambda s: is_in_force(plan, s) and s.replicas == before, deadline_s)
        assert await self.ask_process(before[0]) == process
        assert await self.bring_up(orchestrator, launch, 1, deadline_s) == before
        assert await self.ask_process(before[0]) == process

    @pytest.mark.anyio
    async def test_lost_signal_is_answered_as_the_policy_says(
        self, plugin: type[Any], orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        self.skip_if_lacking(plugin, Feature.SCALING)
        (spec,) = want(launch, 1)
        policy = replace(spec.policy, max_replicas=3, on_signal_loss=2)
        plan = orchestrator.compile((replace(spec, policy=policy),))
        if plan.fidelity[NAME, "on_signal_loss"].verdict == "impossible":
            pytest.skip(f"{plugin.name} lacks on_signal_loss: {plan.fidelity[NAME, 'on_signal_loss'].note}")
        await self.bring_up(orchestrator, launch, 1, deadline_s)
        await self.cut_signal(orchestrator)
        await converge(orchestrator, plan, lambda s: len(ready(s)) == 2, deadline_s)

    @pytest.mark.anyio
    async def test_scaling_keeps_replicas(self, orchestrator: Orchestrator, launch: Launch, deadline_s: float) -> None:
        (first,) = await self.bring_up(orchestrator, launch, 1, deadline_s)
        two = await self.bring_up(orchestrator, launch, 2, deadline_s)
        assert first in two
        (left,) = await self.bring_up(orchestrator, launch, 1, deadline_s)
        assert left in two

    @pytest.mark.anyio
    async def test_evict_replaces_that_one(
        self, plugin: type[Any], orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        self.skip_if_lacking(plugin, Feature.EVICT)
        sick, well = await self.bring_up(orchestrator, launch, 2, deadline_s)

        def replaced(snapshot: Observed) -> bool:
            return sick not in ready(snapshot) and well in ready(snapshot) and len(ready(snapshot)) == 2

        plan = orchestrator.compile(want(launch, 2, evict={sick.id}))
        snapshot = await converge(orchestrator, plan, replaced, deadline_s)
        assert sick.id not in {replica.id for replica in ready(snapshot)}

    @pytest.mark.anyio
    async def test_changed_launch_replaces_all(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        (old,) = await self.bring_up(orchestrator, launch, 1, deadline_s)
        changed = replace(launch, env={**launch.env, VERSION_ENV: "2"})
        plan = orchestrator.compile(want(changed, 1))
        snapshot = await converge(
            orchestrator, plan, lambda s: len(ready(s)) == 1 and old.id not in ids(ready(s)), deadline_s
        )
        (new,) = ready(snapshot)
        assert (await self.ask(new)).json()["version"] == "2"

    @pytest.mark.anyio
    async def test_killed_replica_is_replaced(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        """By another one, or by another process of its own."""
        dead, well = await self.bring_up(orchestrator, launch, 2, deadline_s)
        processes = {await self.ask_process(replica) for replica in (dead, well)}
        killed = await self.ask_process(dead)
        await self.kill(orchestrator, dead)
        plan = orchestrator.compile(want(launch, 2))

        async def is_replaced() -> bool:
            snapshot = await converge(orchestrator, plan, lambda s: len(ready(s)) == 2 and well in ready(s), deadline_s)
            try:
                now = {await self.ask_process(replica) for replica in ready(snapshot)}
            except httpx.TransportError:
                return False
            return processes - {killed} < now and killed not in now

        await wait_for(is_replaced, deadline_s, "another process in the place of the killed one")

    @pytest.mark.anyio
    async def test_failing_start_is_explained_and_can_be_mended(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        message = "the-model-is-not-a-model"
        broken = replace(launch, env={**launch.env, FAIL_ENV: message})
        with suppress(ApplyError):
            await orchestrator.apply(orchestrator.compile(want(broken, 1)))
        await snapshot_when(orchestrator, lambda s: any(message in r.reason for r in s.replicas), deadline_s)
        await self.bring_up(orchestrator, launch, 1, deadline_s)

    @pytest.mark.anyio
    async def test_launch_that_cannot_run_is_explained_and_can_be_mended(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float
    ) -> None:
        """By the refusal, or by the replica's reason."""
        missing = "no_such_engine"
        broken = replace(launch, argv=(f"/{missing}", "{host}", "{port}"), asgi=f"{missing}:build")
        try:
            await orchestrator.apply(orchestrator.compile(want(broken, 1)))
        except ApplyError as error:
            assert missing in str(error)
        else:
            await snapshot_when(orchestrator, lambda s: any(missing in r.reason for r in s.replicas), deadline_s)
        await self.bring_up(orchestrator, launch, 1, deadline_s)

    @pytest.mark.anyio
    async def test_second_instance_adopts(
        self,
        plugin: type[Any],
        options: Mapping[str, Any],
        env: Env,
        orchestrator: Orchestrator,
        launch: Launch,
        deadline_s: float,
    ) -> None:
        before = await self.bring_up(orchestrator, launch, 1, deadline_s)
        process = await self.ask_process(before[0])
        heir: Orchestrator = self.make(plugin, options, env)
        first = await snapshot_when(heir, lambda _: True, deadline_s / 4)
        assert ready(first) == before, "its first snapshot must not take a serving replica out"
        await heir.apply(heir.compile(want(launch, 1)))
        assert await self.bring_up(heir, launch, 1, deadline_s) == before
        assert await self.ask_process(before[0]) == process

    @pytest.mark.anyio
    @pytest.mark.parametrize("after_s", [0.0, 0.1, 0.5])
    async def test_cancelled_apply_can_be_called_again(
        self, orchestrator: Orchestrator, launch: Launch, deadline_s: float, after_s: float
    ) -> None:
        with anyio.move_on_after(after_s):
            await orchestrator.apply(orchestrator.compile(want(launch, 2)))
        two = await self.bring_up(orchestrator, launch, 2, deadline_s)
        with anyio.move_on_after(after_s):
            await orchestrator.apply(orchestrator.compile(want(launch, 1)))
        (one,) = await self.bring_up(orchestrator, launch, 1, deadline_s)
        assert one in two

    @pytest.mark.anyio
    async def test_owners_leave_each_other_alone(
        self,
        plugin: type[Any],
        other_options: Mapping[str, Any],
        other_env: Env,
        orchestrator: Orchestrator,
        launch: Launch,
        deadline_s: float,
    ) -> None:
        mine = await self.bring_up(orchestrator, launch, 1, deadline_s)
        other: Orchestrator = self.make(plugin, other_options, other_env)
        await other.apply(other.compile(()))
        theirs = await self.bring_up(other, launch, 1, deadline_s)
        assert not set(ids(mine)) & set(ids(theirs))
        assert await self.bring_up(orchestrator, launch, 1, deadline_s) == mine
        await self.take_down(other, deadline_s)
        assert await self.bring_up(orchestrator, launch, 1, deadline_s) == mine

    @pytest.mark.anyio
    async def test_empty_want_removes_all(self, orchestrator: Orchestrator, launch: Launch, deadline_s: float) -> None:
        replicas = await self.bring_up(orchestrator, launch, 2, deadline_s)
        pids = [await self.ask_pid(replica) for replica in replicas]
        await self.take_down(orchestrator, deadline_s)
        for replica in replicas:
            with pytest.raises(httpx.TransportError):
                await self.ask(replica)
        if orchestrator.on_this_machine:
            await wait_for(lambda: not any(map(psutil.pid_exists, pids)), deadline_s, "the end of all processes")


def ready(snapshot: Observed) -> tuple[Replica, ...]:
    return tuple(sorted((r for r in snapshot.replicas if r.state == "ready"), key=lambda r: r.id))


def is_in_force(plan: Plan, snapshot: Observed) -> bool:
    """True also where the backend doesn't say."""
    applied = {artefact.name: artefact for artefact in plan.artefacts}
    return snapshot.in_force is None or {artefact.name: artefact for artefact in snapshot.in_force} == applied


def ids(replicas: Iterable[Replica]) -> tuple[str, ...]:
    return tuple(replica.id for replica in replicas)
