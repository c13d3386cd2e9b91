"""What is written, in which order, and what keeps it from being written at all."""

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from finsight_serve.plugin import ApplyError
from finsight_serve_k8s_keda import convergence
from finsight_serve_k8s_keda.convergence import Difference, Outcome, converge, evict, is_asked_anew, refuse_rivals
from finsight_serve_k8s_keda.kinds import APPLIED, CONFIG_MAP, DEPLOYMENT, POD_MONITOR, SCALED_OBJECT, SERVICE, Kind
from finsight_serve_k8s_keda.names import REPLICAS, ROUTES, component_labels
from finsight_serve_k8s_keda.refusals import CONFLICT, FORBIDDEN, ApiRefusal

sys.path.insert(0, str(Path(__file__).parent))
from fake_kube_api import FakeKubeApi

pytestmark = pytest.mark.anyio
OWNER = "o1"


def body(kind: Kind, name: str, owner: str = OWNER, component: str = REPLICAS, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": "models", "labels": dict(component_labels(owner, component))},
        "spec": {"of": name, **spec},
    }


DEPLOYED = [body(kind, "chat") for kind in (SCALED_OBJECT, DEPLOYMENT, SERVICE)]


async def apply(api: FakeKubeApi, bodies: list[dict[str, Any]], **more: Any) -> Outcome:
    return await converge(api, bodies, APPLIED, OWNER, REPLICAS, **more)


async def test_all_is_tried_before_anything_is_written_in_the_order_of_the_kinds():
    api = FakeKubeApi()
    outcome = await apply(api, DEPLOYED)
    names = ["Service/chat", "Deployment/chat", "ScaledObject/chat"]
    assert api.calls == [("dry-run", name) for name in names] + [("apply", name) for name in names]
    assert outcome == Outcome(tuple(names), (), 0)


async def test_of_many_that_are_alike_some_are_tried():
    api = FakeKubeApi()
    many = [body(kind, f"n{place}") for kind in (SERVICE, CONFIG_MAP) for place in range(5)]
    outcome = await apply(api, many, trials=2)
    tried = [name for call, name in api.calls if call == "dry-run"]
    assert sorted(tried) == ["ConfigMap/n0", "ConfigMap/n1", "Service/n0", "Service/n1"]
    assert api.calls[: len(tried)] == [("dry-run", name) for name in tried], "before anything is written"
    assert len(outcome.applied) == 10 == len(api.calls) - len(tried)


async def test_what_is_there_as_planned_costs_nothing():
    api = FakeKubeApi()
    await apply(api, DEPLOYED)
    api.calls.clear()
    assert await apply(api, DEPLOYED) == Outcome((), (), 3)
    assert api.calls == []


async def test_a_change_touches_one_object():
    api = FakeKubeApi()
    await apply(api, DEPLOYED)
    api.calls.clear()
    changed = [*DEPLOYED[1:], body(SCALED_OBJECT, "chat", maxReplicaCount=9)]
    assert (await apply(api, changed)).applied == ("ScaledObject/chat",)
    assert api.calls == [("dry-run", "ScaledObject/chat"), ("apply", "ScaledObject/chat")]


async def test_what_the_plan_lacks_goes_in_the_opposite_order():
    api = FakeKubeApi()
    await apply(api, DEPLOYED)
    api.calls.clear()
    outcome = await apply(api, [])
    assert [name for _, name in api.calls] == ["ScaledObject/chat", "Deployment/chat", "Service/chat"]
    assert set(outcome.removed) == {"ScaledObject/chat", "Deployment/chat", "Service/chat"}
    assert not api.objects


async def test_what_is_not_ours_stays():
    api = FakeKubeApi()
    api.put(body(SERVICE, "other", owner="o2"))
    api.put(body(SERVICE, "routes", component=ROUTES))
    api.put({**body(SERVICE, "plain"), "metadata": {"name": "plain"}})
    await apply(api, DEPLOYED)
    await apply(api, [])
    assert {name for _, name in api.objects} == {"other", "routes", "plain"}


@pytest.mark.parametrize(
    ("labels", "whose"),
    [
        (component_labels("o2", REPLICAS), "another stack's (app.kubernetes.io/instance=o2)"),
        (component_labels(OWNER, ROUTES), "this stack's own, for its routes"),
        ({"app": "x"}, "someone else's (written by helm)"),
        ({}, "someone else's (written by helm)"),
    ],
)
async def test_an_object_of_the_same_name_that_is_not_ours_is_refused(labels, whose):
    api = FakeKubeApi()
    foreign = body(DEPLOYMENT, "chat")
    foreign["metadata"]["labels"] = dict(labels)
    api.put(foreign, managedFields=[{"manager": "helm", "operation": "Update", "fieldsV1": {}}])
    with pytest.raises(ApplyError) as refused:
        await apply(api, DEPLOYED)
    assert f"Deployment chat in namespace models is {whose}" in str(refused.value)
    assert "fs import" in str(refused.value) and refused.value.lasting
    assert api.calls == []


async def test_somebody_elses_object_that_is_on_its_way_out_may_be_waited_for():
    api = FakeKubeApi()
    api.put(body(DEPLOYMENT, "chat", owner="o2"), deletionTimestamp="now")
    with pytest.raises(ApplyError, match="another stack's") as refused:
        await apply(api, DEPLOYED)
    assert not refused.value.lasting


async def test_a_refusal_leaves_nothing_half_done():
    api = FakeKubeApi()
    api.refused["dry-run", "ScaledObject/chat"] = ApiRefusal("KEDA says no", FORBIDDEN)
    with pytest.raises(ApplyError, match="KEDA says no"):
        await apply(api, DEPLOYED)
    assert not api.objects


async def test_of_several_refusals_the_first_is_told():
    api = FakeKubeApi()
    for kind in ("ScaledObject", "Service", "Deployment"):
        api.refused["dry-run", f"{kind}/chat"] = ApiRefusal(f"no {kind}", CONFLICT)
    with pytest.raises(ApplyError, match="no Service"):
        await apply(api, DEPLOYED)


async def test_the_last_word_before_writing_may_refuse():
    api, heard = FakeKubeApi(), []

    async def never(differences: Any) -> None:
        heard.extend(difference.body["kind"] for difference in differences)
        raise ApplyError("Prometheus is away")

    with pytest.raises(ApplyError, match="Prometheus is away"):
        await apply(api, DEPLOYED, before_write=never)
    assert heard == ["Service", "Deployment", "ScaledObject"]
    assert not api.objects


async def test_a_write_that_fails_halfway_is_resumed():
    api = FakeKubeApi()
    api.refused["apply", "Deployment/chat"] = ApiRefusal("gone")
    with pytest.raises(ApplyError, match="gone"):
        await apply(api, DEPLOYED)
    assert set(api.objects) == {("Service", "chat")}
    api.refused.clear()
    assert await apply(api, DEPLOYED) == Outcome(("Deployment/chat", "ScaledObject/chat"), (), 1)


async def test_an_api_that_is_not_installed_matters_only_where_it_is_needed():
    api = FakeKubeApi()
    api.absent = {POD_MONITOR}
    await apply(api, DEPLOYED)
    with pytest.raises(ApplyError, match="no PodMonitor"):
        await apply(api, [*DEPLOYED, body(POD_MONITOR, "chat")])
    api.absent = {SERVICE}
    with pytest.raises(ApplyError, match="no Service"):
        await apply(api, [])


async def test_no_more_than_a_few_are_asked_at_once():
    api = FakeKubeApi()
    await apply(api, [body(CONFIG_MAP, f"c{index}") for index in range(100)])
    assert 8 <= api.most_at_once <= convergence.AT_ONCE


async def test_an_object_that_is_being_deleted_is_waited_for(monkeypatch):
    api = FakeKubeApi()
    ending = api.put(body(SERVICE, "chat"), deletionTimestamp="now", finalizers=["keda"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(apply, api, DEPLOYED)
        await anyio.wait_all_tasks_blocked()
        assert api.calls == []
        del api.objects["Service", "chat"]
    assert api.objects["Service", "chat"]["metadata"]["uid"] != ending["metadata"]["uid"]

    monkeypatch.setattr(convergence, "ENDING_S", 0.01)
    api.put(body(SERVICE, "chat"), deletionTimestamp="now", finalizers=["example.com/held"])
    with pytest.raises(ApplyError, match=r"Service chat in namespace models is still being deleted.*example\.com/held"):
        await apply(api, DEPLOYED)


def hpa(name: str, target: str, *makers: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "ownerReferences": list(makers)},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}},
    }


async def test_another_autoscaler_on_a_deployment_is_refused():
    api = FakeKubeApi()
    api.put(hpa("keda-hpa-chat", "chat", {"kind": "ScaledObject", "name": "chat"}))
    api.put(hpa("elsewhere", "other"))
    await refuse_rivals(api, DEPLOYED)
    api.put(hpa("mine", "chat"))
    with pytest.raises(
        ApplyError, match=r"Deployment chat is scaled by the HorizontalPodAutoscaler mine,.*delete hpa mine"
    ) as refused:
        await refuse_rivals(api, DEPLOYED)
    assert refused.value.lasting
    await refuse_rivals(api, [])


async def test_another_scaled_objects_autoscaler_is_refused():
    api = FakeKubeApi()
    api.put(hpa("keda-hpa-rival", "chat", {"kind": "ScaledObject", "name": "rival"}))
    with pytest.raises(ApplyError, match="made by ScaledObject rival"):
        await refuse_rivals(api, DEPLOYED)


async def test_an_evicted_pod_is_deleted_once():
    api = FakeKubeApi()
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    api.put(pod)
    await evict(api, "p")
    await evict(api, "p")
    api.put(pod, deletionTimestamp="now")
    await evict(api, "p")
    assert api.calls == [("delete", "Pod/p")]


async def test_prometheus_is_asked_only_about_new_questions():
    api = FakeKubeApi()
    wanted = body(SCALED_OBJECT, "chat", triggers=[1], minReplicaCount=1)
    assert is_asked_anew(Difference(None, wanted))
    live = await api.apply(wanted)
    assert not is_asked_anew(Difference(live, body(SCALED_OBJECT, "chat", triggers=[1], minReplicaCount=2)))
    assert is_asked_anew(Difference(live, body(SCALED_OBJECT, "chat", triggers=[2], minReplicaCount=1)))
    assert not is_asked_anew(Difference(None, body(SERVICE, "chat")))
