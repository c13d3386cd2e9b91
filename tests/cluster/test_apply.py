"""What `apply` makes of a cluster, and what it leaves alone."""

import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from finsight_serve.plugin import ApplyError
from finsight_serve_k8s_keda.convergence import Outcome, converge
from finsight_serve_k8s_keda.kinds import HTTP_ROUTE, SERVICE_ACCOUNT
from finsight_serve_k8s_keda.kube_api import connect
from finsight_serve_k8s_keda.names import ROUTES, component_labels

from ..e2e.waiting import wait_until
from .applied import POLICY, Applying

MANY = tuple(f"d{index}" for index in range(24))


@pytest.fixture
def applying(cluster: Any, namespace: str, tmp_path: Path) -> Applying:
    return Applying(cluster.kubectl, namespace, cluster.prometheus_url, tmp_path)


def test_what_was_planned_is_there_and_stays_as_it_is(applying):
    plan = applying.apply("chat", "batch")
    bodies = [artefact.body for artefact in plan.artefacts]
    assert applying.in_force(plan) == bodies
    written = [applying.written_at(artefact.name) for artefact in plan.artefacts]
    applying.apply("chat", "batch")
    assert applying.in_force(plan) == bodies
    assert [applying.written_at(artefact.name) for artefact in plan.artefacts] == written


def test_the_count_is_the_autoscalers(applying):
    applying.apply("chat")
    applying.kubectl("scale", "deployment/chat", "--replicas=2", "-n", applying.namespace)
    applying.apply("chat", policy=replace(POLICY, max_replicas=5))
    assert applying.get("Deployment/chat")["spec"]["replicas"] == 2
    assert applying.get("ScaledObject/chat")["spec"]["maxReplicaCount"] == 5


def test_exactly_what_is_ours_is_removed(applying):
    other = applying.but(owner="others")
    theirs = other.apply("theirs")
    applying.kubectl("create", "configmap", "plain", "-n", applying.namespace)
    before = applying.left()
    applying.apply("chat", "batch")
    applying.apply("batch")
    assert applying.get("ScaledObject/chat") is None
    assert applying.get("ScaledObject/batch") is not None
    applying.apply()
    wait_until(lambda: applying.left() == before, 60, "only what was there before is left")
    assert other.in_force(theirs) == [artefact.body for artefact in theirs.artefacts]


def test_a_deployment_comes_back_while_the_old_one_goes(applying):
    plan = applying.apply("chat")
    applying.apply()
    applying.apply("chat")
    assert applying.in_force(plan) == [artefact.body for artefact in plan.artefacts]


def test_an_evicted_replica_is_replaced(applying):
    applying.apply("chat")

    def pods() -> list[str]:
        found = applying.kubectl.json("get", "pods", "-n", applying.namespace)["items"]
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    (sick,) = wait_until(pods, 60, "a pod")
    applying.apply("chat", evict=[sick])
    wait_until(lambda: pods() not in ([sick], []), 60, "another pod")
    applying.apply("chat", evict=[sick])
    assert sick not in pods()


def test_drift_is_shown_and_not_overwritten(applying):
    plan = applying.apply("chat")
    applying.kubectl(
        *("patch", "scaledobject", "chat", "-n", applying.namespace),
        *("--type=merge", "-p", '{"spec":{"maxReplicaCount":9}}'),
    )
    drifted = applying.in_force(plan)
    assert drifted != [artefact.body for artefact in plan.artefacts]
    line = applying.refusal("chat")
    assert "ScaledObject chat: spec.maxReplicaCount is also set by kubectl-patch" in line
    assert applying.get("ScaledObject/chat")["spec"]["maxReplicaCount"] == 9


def test_what_was_deleted_by_hand_comes_back(applying):
    plan = applying.apply("chat")
    applying.kubectl("delete", "service", "chat", "-n", applying.namespace)
    applying.apply("chat")
    assert applying.in_force(plan) == [artefact.body for artefact in plan.artefacts]


def test_a_cancelled_apply_is_finished_by_the_next(applying):
    plan = applying.plan(*MANY)

    async def cancelled() -> None:
        async with anyio.create_task_group() as tasks, connect(applying.access) as api:
            tasks.start_soon(applying.plugin.apply, plan)
            while await api.get(SERVICE_ACCOUNT, MANY[0]) is None:
                pass
            tasks.cancel_scope.cancel()

    anyio.run(cancelled)
    assert applying.get(f"ServiceAccount/{MANY[0]}")
    assert applying.get(f"ScaledObject/{MANY[-1]}") is None
    applying.apply(*MANY)
    assert applying.in_force(plan) == [artefact.body for artefact in plan.artefacts]


def test_an_api_server_that_stops_halfway_is_gone_on_with(cluster, applying):
    stop, start = cluster.stop_api_server, cluster.start_api_server
    plan, refused = applying.plan(*MANY), []

    def apply() -> None:
        try:
            anyio.run(applying.plugin.apply, plan)
        except ApplyError as error:
            refused.append(str(error))

    thread = threading.Thread(target=apply)
    thread.start()
    try:
        cluster.kubectl.wait(lambda: applying.get(f"ServiceAccount/{MANY[0]}"), 60, "the first object")
        stop(signal.SIGKILL)
        thread.join(60)
    finally:
        start()
    (line,) = refused
    assert "can't be reached" in line
    applying.apply(*MANY)
    assert applying.in_force(plan) == [artefact.body for artefact in plan.artefacts]


def test_a_thousand_routes_are_applied_and_a_change_touches_one(applying):
    async def measured() -> tuple[float, Outcome, float, Outcome]:
        async with connect(applying.access) as api:
            routes = [route(applying.namespace, f"t{index}", 100) for index in range(1000)]
            started_s = time.monotonic()
            first = await converge(api, routes, [HTTP_ROUTE], applying.owner, ROUTES, trials=16)
            took_s = time.monotonic() - started_s
            routes[500] = route(applying.namespace, "t500", 50)
            started_s = time.monotonic()
            second = await converge(api, routes, [HTTP_ROUTE], applying.owner, ROUTES)
            return took_s, first, time.monotonic() - started_s, second

    took_s, first, again_s, second = anyio.run(measured)
    print(f"1,000 routes: {took_s:.1f} s; one of them changed: {again_s:.2f} s")
    assert (len(first.applied), second) == (1000, Outcome(("HTTPRoute/t500",), (), 999))
    assert again_s < took_s / 4


def route(namespace: str, name: str, weight: int) -> dict[str, Any]:
    backend = {"group": "", "kind": "Service", "name": "chat", "port": 80, "weight": weight}
    path = {"type": "PathPrefix", "value": "/"}
    matches = [{"path": path, "headers": [{"type": "Exact", "name": "x-finsight-tenant", "value": name}]}]
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(component_labels("tests", ROUTES))},
        "spec": {"rules": [{"matches": matches, "backendRefs": [backend]}]},
    }
