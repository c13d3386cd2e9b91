"""From what the API server holds to what the core sees."""

import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from finsight_serve.plugin import Artefact, Observed
from finsight_serve_k8s_keda import kinds
from finsight_serve_k8s_keda.kinds import Json, Kind
from finsight_serve_k8s_keda.names import deployment_labels
from finsight_serve_k8s_keda.observing import observing

sys.path.insert(0, str(Path(__file__).parent))

from fake_kube import FakeKube, QuickClock
from kube_pods import OWNER, crashed, event, loading, pod, ready, unschedulable

EVICTION = Artefact("Eviction/chat-1", {"kind": "Eviction"})


def applied(kind: Kind, name: str = "chat", spec: Json | None = None, owns: Json | None = None, **more: Any) -> Json:
    """An object as our field manager has applied it, with what others have added since."""
    labels = dict(deployment_labels(OWNER, name))
    fields = {"f:metadata": {"f:labels": {f"f:{label}": {} for label in labels}}, "f:spec": owns or {}}
    managed = [
        {"manager": "finsight-serve", "operation": "Apply", "fieldsV1": fields},
        {"manager": "kube", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]
    metadata = {"name": name, "namespace": "tests", "uid": "u", "labels": labels, "managedFields": managed}
    return {"metadata": metadata, "spec": spec or {}, **more}


def cluster(*pods: Json, deployment: Json | None = None, scaled: Json | None = None) -> FakeKube:
    api = FakeKube()
    api.put(kinds.DEPLOYMENT, deployment or applied(kinds.DEPLOYMENT))
    api.put(kinds.SERVICE, applied(kinds.SERVICE))
    if scaled:
        api.put(kinds.SCALED_OBJECT, scaled)
    for body in pods:
        api.put(kinds.POD, body)
    return api


async def first(api: FakeKube, evicted: tuple[Artefact, ...] = (), id: str = "c1") -> Observed:
    """The first snapshot in which nothing is still being read."""
    snapshots = observing(api, OWNER, id, 8000, lambda: evicted, QuickClock())  # type: ignore[arg-type]
    async with aclosing(snapshots) as found:  # type: ignore[type-var]
        async for seen in found:
            if not any(replica.reason.startswith("its process ended") for replica in seen.replicas) or any(
                replica.state == "failed" for replica in seen.replicas
            ):
                return seen
    raise AssertionError("it ended")


@pytest.mark.parametrize(
    ("contained", "gate", "state"),
    [("True", "True", "ready"), ("False", "True", "starting"), ("True", "False", "starting")],
)
@pytest.mark.anyio
async def test_a_silent_node_says_nothing_against_its_pods(contained: str, gate: str, state: str) -> None:
    """The cluster has called the pod unready, its kubelet has not."""
    conditions = {"Ready": "False", "ContainersReady": contained, "routed": gate}
    body = pod(**ready())
    body["spec"] = {"readinessGates": [{"conditionType": "routed"}]}
    body["status"]["conditions"] = [{"type": name, "status": status} for name, status in conditions.items()]
    body["status"]["containerStatuses"][1]["ready"] = True
    (replica,) = (await first(cluster(body))).replicas
    assert replica.state == state


@pytest.mark.anyio
async def test_the_states_of_replicas() -> None:
    api = cluster(
        pod("chat-1", **ready()),
        pod("chat-2", **loading()),
        pod("chat-3", ending=True, **ready()),
        pod("chat-4", **crashed()),
        pod("chat-5", **unschedulable("no room")),
        pod("chat-6", **ready(False)),
    )
    api.logs = {"chat-4": "no such model"}
    found = {replica.id: (replica.state, replica.address) for replica in (await first(api)).replicas}
    assert found == {
        "chat-1": ("ready", "10.0.0.1:8000"),
        "chat-2": ("starting", "10.0.0.1:8000"),
        "chat-3": ("draining", "10.0.0.1:8000"),
        "chat-4": ("failed", ""),
        "chat-5": ("starting", ""),
        "chat-6": ("starting", "10.0.0.1:8000"),
    }


@pytest.mark.anyio
async def test_a_failed_replica_is_told_with_its_last_words() -> None:
    api = cluster(pod(**crashed()))
    api.logs = {"chat-1": "no such model"}
    (replica,) = (await first(api)).replicas
    assert (replica.state, replica.reason.splitlines()[-1]) == ("failed", "no such model")


@pytest.mark.anyio
async def test_pods_of_others_are_none_of_ours() -> None:
    api = cluster(
        pod("theirs-1", "theirs", owner="other", **ready()),
        pod("old-1", "old", ending=True, **ready()),
        pod("chat-1", owner="before-it-was-adopted", **ready()),
    )
    assert [replica.id for replica in (await first(api)).replicas] == ["chat-1", "old-1"]


@pytest.mark.anyio
async def test_a_pod_that_its_node_gave_up_is_told_until_another_serves() -> None:
    def lost(name: str, minute: int) -> Json:
        return pod(name, phase="Failed", reason="Evicted", message="low", created=f"2026-01-01T00:0{minute}:00Z")

    api = cluster(lost("chat-1", 1), lost("chat-2", 2), pod("chat-3", created="2026-01-01T00:03:00Z", **loading()))
    assert [(r.id, r.state) for r in (await first(api)).replicas] == [("chat-2", "failed"), ("chat-3", "starting")]
    api.put(kinds.POD, pod("chat-3", created="2026-01-01T00:03:00Z", **ready()))
    assert [r.id for r in (await first(api)).replicas] == ["chat-3"]


@pytest.mark.anyio
async def test_in_force_is_what_was_applied_whatever_others_added() -> None:
    spec = {"paused": True, "replicas": 7}
    api = cluster(deployment=applied(kinds.DEPLOYMENT, spec=spec, owns={"f:paused": {}}))
    found = {artefact.name: artefact.body for artefact in (await first(api, (EVICTION,))).in_force or ()}
    assert found.keys() == {"Service/chat", "Deployment/chat", EVICTION.name}
    assert found["Deployment/chat"]["spec"] == {"paused": True}
    assert found["Deployment/chat"]["metadata"]["labels"] == dict(deployment_labels(OWNER, "chat"))


@pytest.mark.anyio
async def test_a_secret_stays_one_and_what_is_being_deleted_is_not_in_force() -> None:
    api = cluster()
    api.put(kinds.SECRET, applied(kinds.SECRET))
    going = applied(kinds.SCALED_OBJECT)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    api.put(kinds.SCALED_OBJECT, going)
    found = {artefact.name: artefact.secret for artefact in (await first(api)).in_force or ()}
    assert found == {"Secret/chat": True, "Service/chat": False, "Deployment/chat": False}


@pytest.mark.anyio
async def test_the_native_endpoint_names_the_cluster() -> None:
    assert (await first(cluster())).refs == {"chat": "k8s://c1/tests/chat:8000"}
    assert (await first(cluster(), id="")).refs == {}


@pytest.mark.anyio
async def test_the_autoscaler_in_a_line() -> None:
    conditions = [{"type": "Ready", "status": "True"}]
    bounds = {"minReplicaCount": 1, "maxReplicaCount": 4}
    deployment = applied(kinds.DEPLOYMENT, status={"replicas": 3})
    scaled = applied(kinds.SCALED_OBJECT, spec=bounds, status={"conditions": conditions})
    api = cluster(deployment=deployment, scaled=scaled)
    api.put(kinds.HPA, autoscaler("keda-hpa-chat", desired=4))
    assert (await first(api)).notes == {
        "chat": "KEDA ready; 3 of 1-4 replicas, wants 4; load 12.5 per replica, target 10"
    }


@pytest.mark.anyio
async def test_what_is_wrong_with_the_autoscaler_is_told() -> None:
    conditions = [
        {"type": "Ready", "status": "False", "message": "no triggers"},
        {"type": "Fallback", "status": "True"},
    ]
    refused = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}]
    api = cluster(
        deployment=applied(kinds.DEPLOYMENT, status={"conditions": refused}),
        scaled=applied(kinds.SCALED_OBJECT, status={"conditions": conditions}),
    )
    api.put(kinds.HPA, autoscaler("mine", kedas=False))
    (line,) = (await first(api)).notes.values()
    assert "KEDA not ready: no triggers" in line and "its fallback is in force" in line
    assert "pods are refused: exceeded quota: q" in line
    assert "HorizontalPodAutoscaler mine scales it too" in line


@pytest.mark.anyio
async def test_what_the_autoscaler_cannot_do_is_told_but_not_that_it_rests() -> None:
    def troubled(reason: str) -> FakeKube:
        api = cluster(scaled=applied(kinds.SCALED_OBJECT, status={"conditions": []}))
        condition = {"type": "ScalingActive", "status": "False", "reason": reason, "message": "rpc desc = no series"}
        api.put(kinds.HPA, autoscaler("keda-hpa-chat", conditions=[condition]))
        return api

    (line,) = (await first(troubled("FailedGetExternalMetric"))).notes.values()
    assert line.endswith("its autoscaler: FailedGetExternalMetric: no series")
    (line,) = (await first(troubled("ScalingDisabled"))).notes.values()
    assert "its autoscaler" not in line


@pytest.mark.anyio
async def test_each_change_gives_one_snapshot() -> None:
    api = cluster(pod("chat-1", **loading()))
    snapshots = observing(api, OWNER, "c1", 8000, tuple, QuickClock())  # type: ignore[arg-type]
    async with aclosing(snapshots) as found:  # type: ignore[type-var]
        assert [replica.state for replica in (await anext(found)).replicas] == ["starting"]
        api.put(kinds.EVENT, event("chat-1", "cannot mount"))
        api.put(kinds.POD, pod("chat-1", **ready()))
        assert [replica.state for replica in (await anext(found)).replicas] == ["ready"]


def autoscaler(name: str, *, desired: int = 0, kedas: bool = True, conditions: list[Json] | None = None) -> Json:
    metric = {"name": "s0-prometheus"}
    return {
        "metadata": {"name": name, "ownerReferences": [{"kind": "ScaledObject", "name": "chat"}] if kedas else []},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "chat"},
            "metrics": [{"external": {"metric": metric, "target": {"averageValue": "10"}}}],
        },
        "status": {
            "desiredReplicas": desired,
            "currentReplicas": 3,
            "currentMetrics": [{"external": {"metric": metric, "current": {"averageValue": "12500m"}}}],
            "conditions": conditions or [],
        },
    }
