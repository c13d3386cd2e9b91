"""What `observe` shows of a cluster: why replicas don't serve, what differs from the plan, and what it can't know."""

import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from finsight_serve.plugin import Observed, Replica
from finsight_serve.testing import snapshot_when
from finsight_serve_k8s_keda.kube_api import ApiRefusal

from .applied import Applying

DEADLINE_S = 60.0


class Watching(Applying):
    def shown(self, condition: Callable[[Observed], bool]) -> Observed:
        return anyio.run(snapshot_when, self.plugin, condition, DEADLINE_S)

    def replica(self, condition: Callable[[Replica], bool]) -> Replica:
        found = self.shown(lambda seen: any(map(condition, seen.replicas)))
        return next(filter(condition, found.replicas))

    def note(self, *words: str) -> str:
        found = self.shown(lambda seen: all(word in seen.notes.get("chat", "") for word in words))
        return found.notes["chat"]


@pytest.fixture
def watching(cluster: Any, namespace: str, tmp_path: Path) -> Watching:
    return Watching(cluster.kubectl, namespace, cluster.prometheus_url, tmp_path)


def with_options(watching: Watching, **options: Any) -> Watching:
    found = watching.but(**options)
    assert isinstance(found, Watching)
    return found


def test_an_image_that_is_not_there(watching: Watching) -> None:
    watching.apply("chat")
    found = watching.replica(lambda replica: replica.state == "failed")
    assert found.reason.startswith("ErrImageNeverPull: ") and "registry.invalid/none:1" in found.reason


def test_an_image_that_cannot_be_pulled(watching: Watching) -> None:
    with_options(watching, image_pull_policy="IfNotPresent").apply("chat")
    found = watching.replica(lambda replica: replica.state == "failed")
    assert found.reason.startswith("ImagePullBackOff: ") and "registry.invalid" in found.reason


def test_a_node_that_is_not_there(watching: Watching) -> None:
    with_options(watching, node_selector={"no-such": "node"}).apply("chat")
    found = watching.replica(lambda replica: bool(replica.reason))
    assert found.state == "starting" and found.reason.startswith("Unschedulable: ")


def test_a_volume_that_cannot_be_mounted(watching: Watching) -> None:
    with_options(watching, volumes=[{"mount_path": "/key", "secret": "none"}]).apply("chat")
    found = watching.replica(lambda replica: "FailedMount" in replica.reason)
    assert '"none" not found' in found.reason


def test_a_secret_that_is_missing(watching: Watching, host_image: str) -> None:
    with_options(watching, image=host_image, env_from_secrets=["none"]).apply("chat")
    found = watching.replica(lambda replica: replica.state == "failed")
    assert found.reason.startswith("CreateContainerConfigError: ") and '"none" not found' in found.reason


def test_a_quota_that_leaves_no_room(watching: Watching) -> None:
    watching.kubectl("create", "quota", "tight", "--hard=pods=0", "-n", watching.namespace)
    watching.apply("chat")
    line = watching.note("pods are refused", "0 of 1-3 replicas")
    assert "exceeded quota: tight" in line and len(line.splitlines()) == 1


def test_keda_and_its_autoscaler_in_a_line(watching: Watching) -> None:
    watching.apply("chat")
    assert "1 of 1-3 replicas" in watching.note("KEDA ready")
    watching.kubectl("autoscale", "deployment/chat", "--max=2", "--name=rival", "-n", watching.namespace)
    watching.note("HorizontalPodAutoscaler rival scales it too")


def test_what_somebody_changes_is_seen_at_once(watching: Watching) -> None:
    plan = watching.apply("chat")

    async def watched() -> list[set[str]]:
        async with aclosing(watching.plugin.observe()) as snapshots:
            found = [differing(plan, await anext(snapshots))]
            patch = '{"spec":{"maxReplicaCount":9}}'
            where = ("scaledobject", "chat", "-n", watching.namespace)
            await anyio.to_thread.run_sync(lambda: watching.kubectl("patch", *where, "--type=merge", "-p", patch))
            await anyio.to_thread.run_sync(
                lambda: watching.kubectl("delete", "service", "chat", "-n", watching.namespace)
            )
            with anyio.fail_after(DEADLINE_S):
                async for seen in snapshots:
                    found.append(differing(plan, seen))
                    if found[-1] == {"ScaledObject/chat", "Service/chat"}:
                        return found
        raise AssertionError("observe() ended")

    assert anyio.run(watched)[0] == set()


def test_an_api_server_that_goes_away_is_said_and_comes_back(cluster: Any, watching: Watching) -> None:
    stop, start = cluster.stop_api_server, cluster.start_api_server
    plan = watching.apply("chat")

    async def watched() -> str:
        async with aclosing(watching.plugin.observe()) as snapshots:
            await anext(snapshots)
            await anyio.to_thread.run_sync(stop, signal.SIGKILL)
            with anyio.fail_after(DEADLINE_S):
                try:
                    async for _ in snapshots:
                        pass
                except ApiRefusal as refusal:
                    return str(refusal)
        raise AssertionError("observe() ended")

    try:
        assert "can't be reached" in anyio.run(watched)
    finally:
        start()
    watching.shown(lambda seen: not differing(plan, seen))


def differing(plan: Any, seen: Observed) -> set[str]:
    """Names of what is in force otherwise than planned."""
    wanted = {artefact.name: artefact for artefact in plan.artefacts}
    found = {artefact.name: artefact for artefact in seen.in_force or ()}
    return {name for name in {**wanted, **found} if wanted.get(name) != found.get(name)}
