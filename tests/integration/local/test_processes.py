"""The local backend with real processes, beyond what the conformance kit asks of every backend."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import psutil
import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch, Observed, Replica
from finsight_serve.testing import converge, echo_launch, find_free_port, make_env, snapshot_when, wait_for
from finsight_serve.testing.echo import FAIL_ENV, VERSION_ENV
from finsight_serve_local.backend import LocalOrchestrator
from finsight_serve_local.marks import REPLICA_ENV
from finsight_serve_local.options import LocalOptions

KEY = "key"
LAUNCH = echo_launch(KEY)
DEADLINE_S = 60.0

pytestmark = pytest.mark.anyio


@pytest.fixture
def env(tmp_path: Path) -> Env:
    return make_env(tmp_path / "state")


@pytest.fixture
async def local(env: Env) -> AsyncIterator[LocalOrchestrator]:
    made = make(env)
    yield made
    await made.apply(made.compile(()))


def make(env: Env, **options: Any) -> LocalOrchestrator:
    return LocalOrchestrator(LocalOptions(**{"drain_delay_s": 0.2, "drain_timeout_s": 5, **options}), env)


def want(replicas: int, launch: Launch = LAUNCH) -> tuple[DeploymentSpec, ...]:
    return (DeploymentSpec("chat", launch, AutoscalingPolicy(min_replicas=replicas, max_replicas=max(1, replicas))),)


def version(number: int) -> Launch:
    return replace(LAUNCH, env={**LAUNCH.env, VERSION_ENV: str(number)})


async def bring_up(local: LocalOrchestrator, replicas: int, launch: Launch = LAUNCH) -> tuple[Replica, ...]:
    def is_up(seen: Observed) -> bool:
        return [replica.state for replica in seen.replicas] == ["ready"] * replicas

    return (await converge(local, local.compile(want(replicas, launch)), is_up, DEADLINE_S)).replicas


async def ask(replica: Replica) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as http:
        response = await http.post(f"http://{replica.address}/v1/x", json={})
        response.raise_for_status()
        return dict(response.json())


async def test_changed_launch_rolls_without_a_gap(local: LocalOrchestrator) -> None:
    """Whoever goes to a ready replica, and to another where that one has ended meanwhile, is always answered."""
    await bring_up(local, 2)
    seen: list[Observed] = []
    versions: set[str] = set()

    async def watch() -> None:
        async for snapshot in local.observe():
            seen.append(snapshot)

    def ready() -> list[Replica]:
        return [replica for replica in seen[-1].replicas if replica.state == "ready"]

    async def keep_asking() -> None:
        while True:
            assert ready(), "no replica is ready"
            for replica in ready():
                try:
                    versions.add((await ask(replica))["version"])
                except httpx.TransportError:  # nginx goes to the next one then, and what has ended is soon not ready
                    await wait_for(lambda gone=replica.id: gone not in {one.id for one in ready()})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await wait_for(lambda: seen)
        tasks.start_soon(keep_asking)
        await local.apply(local.compile(want(2, version(2))))
        await wait_for(lambda: versions == {"", "2"})
        tasks.cancel_scope.cancel()
    assert min(sum(r.state == "ready" for r in snapshot.replicas) for snapshot in seen) >= 2


async def test_broken_successor_leaves_the_predecessor(local: LocalOrchestrator) -> None:
    (old,) = await bring_up(local, 1)
    broken = replace(LAUNCH, env={**LAUNCH.env, FAIL_ENV: "no such model"})
    with pytest.raises(ApplyError, match=r"chat: the new replica ended.*no such model"):
        await local.apply(local.compile(want(1, broken)))
    assert await ask(old)
    (kept,) = await bring_up(local, 1)
    assert kept.id == old.id


async def test_drains_a_stream_to_its_end(local: LocalOrchestrator) -> None:
    (replica,) = await bring_up(local, 1)
    address = f"http://{replica.address}/v1/x"
    async with (
        anyio.create_task_group() as tasks,
        httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as http,
        http.stream("POST", address, json={"hold": True}) as held,
    ):
        body = held.aiter_raw()
        assert await anext(body)
        tasks.start_soon(local.apply, local.compile(()))
        await snapshot_when(local, lambda seen: [r.state for r in seen.replicas] == ["draining"])
        await wait_for(lambda: _refuses(replica), what="the closed port")
        assert len((await snapshot_when(local, lambda _: True)).replicas) == 1, "it was not waited for"


async def test_crash_loop_is_bounded(local: LocalOrchestrator, env: Env) -> None:
    """Applied as often as it is asked for, it starts at most as the backoff says: after 1, 2, 4 … s."""
    plan = local.compile(want(1, replace(LAUNCH, argv=("false",))))
    began_s = env.clock.now()
    while env.clock.now() < began_s + 4:
        await local.apply(plan)
        await anyio.sleep(0.05)  # the pace of asking; the loop's end is the time that the backoff is measured over
    assert 2 <= len(list((env.state_dir / "logs").iterdir())) <= 3
    failed = await snapshot_when(local, lambda seen: seen.replicas[0].state == "failed")
    assert failed.replicas[0].reason == "it ended without a word"


async def test_missing_program_is_named(local: LocalOrchestrator) -> None:
    with pytest.raises(ApplyError, match=r"chat: .*no-such-program"):
        await local.apply(local.compile(want(1, replace(LAUNCH, argv=("no-such-program",)))))
    assert (await snapshot_when(local, lambda _: True)).replicas == ()


async def test_fixed_ports_are_used_and_kept_through_a_change(env: Env) -> None:
    port = find_free_port()
    local = make(env, ports={"chat": port})
    try:
        (first,) = await bring_up(local, 1)
        (second,) = await bring_up(local, 1, version(2))
        assert first.address == second.address == f"127.0.0.1:{port}"
        assert first.id != second.id and (await ask(second))["version"] == "2"
        assert not local.check(), "its own replica is no obstacle"
    finally:
        await local.apply(local.compile(()))


async def test_fixed_port_in_use_says_by_what(env: Env) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=find_free_port()) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        local = make(env, ports={"chat": port})
        (problem,) = local.check()
        me = f"port {port} of deployment 'chat' is in use by {psutil.Process().name()} (pid {os.getpid()})"
        assert (problem.message, problem.field) == (me, "ports.chat")
        with pytest.raises(ApplyError, match=f"chat: port {port} is in use by .*pid {os.getpid()}"):
            await local.apply(local.compile(want(1)))


async def test_process_whose_start_was_not_written_down_is_adopted(local: LocalOrchestrator, env: Env) -> None:
    """As if the controller had been killed between the start and the record of its pid."""
    (before,) = await bring_up(local, 1)
    path = env.state_dir / "replicas" / f"{before.id}.json"
    text = path.read_text()
    assert '"process": {' in text
    pid = (await ask(before))["pid"]
    path.write_text(text[: text.index('"process": {')] + '"process": null' + text[text.index("}") + 1 :])
    (after,) = await bring_up(make(env), 1)
    assert after == before and (await ask(after))["pid"] == pid


async def test_strays_of_a_dead_replica_end(local: LocalOrchestrator) -> None:
    """An engine's worker that outlives its killed parent must not keep the GPU."""
    script = 'sleep 600 & exec "$@"'
    launch = replace(LAUNCH, argv=("sh", "-c", script, "sh", *LAUNCH.argv))
    (first,) = await bring_up(local, 1, launch)
    pid = (await ask(first))["pid"]
    (child,) = psutil.Process(pid).children()
    assert child.environ()[REPLICA_ENV] == first.id
    os.kill(pid, signal.SIGKILL)
    await converge(
        local,
        local.compile(want(1, launch)),
        lambda seen: [r.state for r in seen.replicas] == ["ready"] and seen.replicas[0].id != first.id,
        DEADLINE_S,
    )
    await wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_nothing_secret_is_readable_by_others(local: LocalOrchestrator, env: Env) -> None:
    await bring_up(local, 1)
    for path in (env.state_dir / "applied.json", *(env.state_dir / "replicas").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_folder_that_cannot_be_written_is_one_sentence(local: LocalOrchestrator, env: Env) -> None:
    (env.state_dir / "replicas").write_text("a file where the folder should be")
    with pytest.raises(ApplyError, match="replicas"):
        await local.apply(local.compile(want(1)))
    (env.state_dir / "replicas").unlink()


async def _refuses(replica: Replica) -> bool:
    try:
        await ask(replica)
    except httpx.ConnectError:
        return True
    return False
