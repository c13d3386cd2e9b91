"""The plugin over a real local Ray cluster. The tests of this module share it, in this order."""

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import grpc
import httpx
import psutil
import pytest

from finsight_serve.plugin import Observed, Replica
from finsight_serve.processes import SystemProcesses
from finsight_serve.testing import make_env, wait_for
from finsight_serve_ray import node
from finsight_serve_ray.dashboard import DASHBOARD
from finsight_serve_ray.monitoring import HEARTBEAT
from finsight_serve_ray.options import Options
from finsight_serve_ray.ray_serve import RayServe
from finsight_serve_ray.record import NodeRecord, node_path, read

from .conftest import DEADLINE_S, Load, Stack, of, ready, spec, until

pytestmark = pytest.mark.anyio


async def serve(stack: Stack, *specs: object, count: int = 1) -> tuple[Replica, ...]:
    """Applies and waits for `chat` to have `count` ready replicas and no others."""
    plugin = stack.plugin()
    await plugin.apply(plugin.compile(specs or (spec(),)))  # type: ignore[arg-type]
    seen = await until(
        plugin, lambda o: ready("chat", count)(o) and len([r for r in o.replicas if r.deployment == "chat"]) == count
    )
    return of(seen, "chat")


async def get(address: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.get(f"http://{address}{path}")


async def test_observing_starts_nothing(tmp_path: Path) -> None:
    plugin = RayServe(Options(), make_env(tmp_path))
    assert await anext(plugin.observe()) == Observed(in_force=())
    assert not os.listdir(tmp_path)


async def test_a_deployment_answers_on_its_replicas_own_port(stack: Stack) -> None:
    plugin = stack.plugin()
    (replica,) = await serve(stack)
    answer = (await get(replica.address, "/v1/models")).json()
    assert (answer["label"], answer["path"], answer["root_path"]) == ("a", "/v1/models", "")
    assert (await get(replica.address, "/health")).status_code == 200
    seen = await anext(plugin.observe())
    assert seen.in_force == plugin.compile((spec(),)).artefacts, "what runs can be compared with what is wanted"


async def test_all_listens_on_loopback_but_one_port_of_each_replica_which_wants_the_token(stack: Stack) -> None:
    await serve(stack)
    listening = [
        (process.name(), connection.laddr)
        for process in node.members(stack.record.sessions)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    open_to_all = [(name, address) for name, address in listening if address.ip.removeprefix("::ffff:") != "127.0.0.1"]
    assert len(listening) > 5 and all(name.startswith("ray::ServeReplica:") for name, _ in open_to_all)
    own = [address for name, address in open_to_all if name == "ray::ServeReplica:chat-owner-1:EngineReplica"]
    assert len(own) == 1, "another application's replicas may still be ending"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{own[0].port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/ray.serve.ASGIService/HandleRequest")(b"")
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def bearer(authorization: Mapping[str, str]) -> dict[str, str]:
    """The header that Prometheus makes of it."""
    token = Path(authorization["credentials_file"]).read_text().strip()
    return {"Authorization": f"{authorization['type']} {token}"}


async def scraped(stack: Stack) -> dict[str, str]:
    """What Prometheus would read, by target, with nothing but what the scrape job says."""
    (job,) = stack.plugin().scrape_jobs()
    (discovery,) = job.config["http_sd_configs"]
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(discovery["url"], headers=bearer(discovery["authorization"]))
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/json")
        targets = [target for group in answer.json() for target in group["targets"]]
        return {target: (await client.get(f"http://{target}/metrics")).text for target in targets}


async def test_prometheus_finds_the_nodes_and_the_dashboards_heartbeat(stack: Stack) -> None:
    """The dashboard's port is this cluster's own."""
    await serve(stack)

    async def heartbeat() -> str | None:
        return next((target for target, text in (await scraped(stack)).items() if f"\n{HEARTBEAT}{{" in text), None)

    target = await wait_for(heartbeat, DEADLINE_S)
    spec_of_node = read(NodeRecord, node_path(stack.state_dir))
    assert spec_of_node is not None and target == f"127.0.0.1:{spec_of_node.dashboard_metrics_port}"


async def test_everything_that_is_drawn_is_told_by_the_cluster(stack: Stack) -> None:
    await serve(stack)
    drawn = {name for query in DASHBOARD.queries for name in re.findall(r"ray_\w+", query.expr)}

    async def all_told() -> bool:
        texts = "\n".join((await scraped(stack)).values())
        return all(f"\n{name}{{" in texts for name in drawn)

    await wait_for(all_told, DEADLINE_S, f"all of {sorted(drawn)} are told of")


async def test_rest_wants_the_token_and_the_token_is_private(stack: Stack) -> None:
    await serve(stack)
    cluster = stack.plugin().cluster
    assert cluster is not None
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{cluster.url}/api/serve/applications/")).status_code == 401
    assert cluster.token_file.stat().st_mode & 0o777 == 0o600
    token = cluster.token_file.read_text()
    argvs = [process.cmdline() for process in node.members(stack.record.sessions)]
    assert len(argvs) > 5 and not [argv for argv in argvs if any(token in arg for arg in argv)]


async def test_growing_keeps_the_first_replica(stack: Stack) -> None:
    (first,) = await serve(stack)
    grown = await serve(stack, spec(min_replicas=2), count=2)
    assert first in grown


async def test_a_policy_of_other_numbers_keeps_every_replica(stack: Stack) -> None:
    before = await serve(stack, spec(min_replicas=2), count=2)
    changed = spec(
        min_replicas=2, target_ongoing_requests=99, smoothing_factor=0.5, look_back_period_s=20, upscale_delay_s=7
    )
    plugin = stack.plugin()
    await plugin.apply(plugin.compile((changed,)))
    seen = await until(plugin, lambda o: o.in_force == plugin.compile((changed,)).artefacts and ready("chat", 2)(o))
    assert of(seen, "chat") == before
    pids = {(await get(replica.address, "/")).json()["pid"] for replica in before}
    assert len(pids) == 2


async def test_a_new_plugin_over_the_same_folder_adopts_what_runs(stack: Stack) -> None:
    before = await serve(stack, spec(min_replicas=2), count=2)
    supervisor = stack.record.supervisor
    successor = stack.plugin()
    assert of(await anext(successor.observe()), "chat") == before
    await successor.apply(successor.compile((spec(min_replicas=2),)))
    assert of(await until(successor, ready("chat", 2)), "chat") == before
    assert stack.record.supervisor == supervisor


async def test_an_evicted_replica_is_replaced_and_the_other_stays(stack: Stack) -> None:
    gone, stays = await serve(stack, spec(min_replicas=2), count=2)
    plugin = stack.plugin()
    await plugin.apply(plugin.compile((spec(min_replicas=2, evict=gone.id),)))

    def replaced(seen: Observed) -> bool:
        ids = {replica.id for replica in of(seen, "chat")}
        return len(ids) == 2 and stays.id in ids and gone.id not in ids

    await until(plugin, replaced)


async def test_a_replica_that_calls_itself_unhealthy_is_replaced(stack: Stack) -> None:
    sick, stays = await serve(stack, spec(min_replicas=2), count=2)
    assert (await get(sick.address, "/v1/sicken")).status_code == 200
    seen = await until(stack.plugin(), lambda o: ready("chat", 2)(o) and sick.id not in {r.id for r in of(o, "chat")})
    assert stays.id in {replica.id for replica in of(seen, "chat")}


async def test_the_gcs_killed_under_load_fails_no_request_and_scaling_goes_on(stack: Stack) -> None:
    before = await serve(stack)
    load, killed = Load(), stack.daemon("gcs_server")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load.run, tuple(replica.address for replica in before))
        psutil.Process(killed.pid).kill()

        def restarted() -> bool:
            return stack.daemon("gcs_server") != killed

        await wait_for(restarted, DEADLINE_S)
        assert before[0] in await serve(stack, spec(min_replicas=2), count=2)
        tasks.cancel_scope.cancel()
    assert load.answered > 50 and not load.failures


async def test_a_killed_dashboard_comes_back(stack: Stack) -> None:
    before = await serve(stack, spec(min_replicas=2), count=2)
    killed = stack.daemon("dashboard")
    psutil.Process(killed.pid).kill()
    assert await serve(stack, spec(min_replicas=2), count=2) == before
    assert stack.daemon("dashboard") != killed


async def test_a_killed_supervisor_leaves_the_replicas_and_the_next_one_adopts_them(stack: Stack) -> None:
    before = await serve(stack, spec(min_replicas=2), count=2)
    killed = stack.record.supervisor
    psutil.Process(killed.pid).kill()
    plugin = stack.plugin()
    assert of(await anext(plugin.observe()), "chat") == before
    await plugin.apply(plugin.compile((spec(min_replicas=2),)))

    def adopted() -> bool:
        return stack.record.supervisor != killed and stack.record.phase == "up"

    await wait_for(adopted, DEADLINE_S)
    assert of(await anext(plugin.observe()), "chat") == before


async def test_a_second_supervisor_gives_way(stack: Stack) -> None:
    await serve(stack)
    keeper = stack.record.supervisor
    argv = [sys.executable, "-m", "finsight_serve_ray.supervisor", str(stack.state_dir)]
    outcome = await SystemProcesses().run(argv, timeout_s=DEADLINE_S)
    assert outcome.code == 0 and "another supervisor keeps" in outcome.stderr
    assert stack.record.supervisor == keeper


async def test_a_killed_replica_is_replaced_and_the_other_stays(stack: Stack) -> None:
    dead, stays = await serve(stack, spec(min_replicas=2), count=2)
    psutil.Process((await get(dead.address, "/")).json()["pid"]).kill()
    seen = await until(stack.plugin(), lambda o: ready("chat", 2)(o) and dead.id not in {r.id for r in of(o, "chat")})
    assert stays in of(seen, "chat")


async def test_load_above_the_target_adds_a_replica(stack: Stack) -> None:
    (first,) = await serve(stack, spec(target_ongoing_requests=2, look_back_period_s=11))
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(get, first.address, "/v1/stream?250")
        seen = await until(stack.plugin(), ready("chat", 2))
        tasks.cancel_scope.cancel()
    assert first in of(seen, "chat")


async def test_an_engine_that_dies_while_loading_says_why(stack: Stack) -> None:
    plugin = stack.plugin()
    kept = await serve(stack)
    await plugin.apply(plugin.compile((spec(), spec("broken", factory="build_broken"))))
    seen = await until(plugin, lambda o: bool(of(o, "broken", "failed")))
    reason = of(seen, "broken", "failed")[0].reason
    assert "loading 1 of 2 shards" in reason and "RuntimeError: the weights of a are cut short" in reason
    assert of(seen, "chat") == kept, "the healthy deployment is untouched"


async def test_a_changed_engine_replaces_its_replicas_and_leaves_another_owners_alone(stack: Stack) -> None:
    kept = await serve(stack)
    neighbour = stack.plugin("owner-2")
    await neighbour.apply(neighbour.compile((spec("theirs"),)))
    await until(neighbour, ready("theirs", 1))
    assert await serve(stack) == kept
    plugin = stack.plugin()
    ready_counts: list[int] = []

    def replaced(seen: Observed) -> bool:
        ready_counts.append(len(of(seen, "chat")))
        return ready("chat", 1)(seen) and of(seen, "chat") != kept

    await plugin.apply(plugin.compile((spec(label="b"),)))  # replaces chat's replica, and only that
    seen = await until(plugin, replaced)
    assert min(ready_counts) >= 1, "the new one is ready before the old one goes"
    assert (await get(of(seen, "chat")[0].address, "/")).json()["label"] == "b"
    assert ready("theirs", 1)(await anext(neighbour.observe()))


@pytest.mark.long
async def test_the_raylet_killed_takes_the_replicas_and_they_come_back_unasked(stack: Stack) -> None:
    before = await serve(stack)
    psutil.Process(stack.daemon("raylet").pid).send_signal(signal.SIGKILL)
    plugin = stack.plugin()
    await until(plugin, lambda o: not of(o, "chat"))
    seen = await until(plugin, ready("chat", 1))
    assert of(seen, "chat")[0].id not in {replica.id for replica in before}


async def test_down_finishes_open_streams_and_leaves_no_process(stack: Stack) -> None:
    (replica,) = await serve(stack)
    sessions = stack.record.sessions
    plugin = stack.plugin()
    answers: list[str] = []

    async def stream() -> None:
        answers.append((await get(replica.address, "/v1/stream?30")).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream)
        await anyio.sleep(0.3)
        await plugin.apply(plugin.compile(()))
    assert answers[0].endswith("data: [DONE]\n\n")
    assert not list(node.members(sessions))
    assert await anext(plugin.observe()) == Observed(in_force=())
    await plugin.apply(plugin.compile(()))  # again: nothing to do
