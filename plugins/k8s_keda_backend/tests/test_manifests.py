import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, DeploymentSpec
from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.k8s_keda import K8sKeda
from finsight_serve_k8s_keda.kinds import APPLIED, artefact_name, kind_of
from finsight_serve_k8s_keda.options import Options

sys.path.insert(0, str(Path(__file__).parent))
from rendering import launch, render

LABELS = {
    "app.kubernetes.io/managed-by": "finsight-serve",
    "app.kubernetes.io/instance": "owner-1",
    "app.kubernetes.io/name": "chat",
    "app.kubernetes.io/component": "replicas",
}
SELECTOR = {"app.kubernetes.io/name": "chat", "app.kubernetes.io/managed-by": "finsight-serve"}
ALWAYS = {"ServiceAccount", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment", "ScaledObject"}
EVERYTHING = launch(py_modules=("pluggy",), env={"HUB_TOKEN": "secret"})


def test_what_a_deployment_consists_of() -> None:
    assert render().keys() == ALWAYS
    assert render(network_policy=False).keys() == ALWAYS - {"NetworkPolicy"}
    assert render(EVERYTHING, pod_monitor=True).keys() == ALWAYS | {"ConfigMap", "PodMonitor", "Secret"}


def test_all_are_in_the_order_of_application_and_say_whose_they_are() -> None:
    bodies = list(render(EVERYTHING, pod_monitor=True, namespace="serving").values())
    order = [APPLIED.index(kind_of(body, APPLIED)) for body in bodies]
    assert all(one < other for one, other in pairwise(order))
    for body in bodies:
        assert body["metadata"]["labels"] == LABELS
        assert body["metadata"]["namespace"] == "serving"


def test_they_find_each_other() -> None:
    found = render(EVERYTHING, pod_monitor=True)
    deployment = found["Deployment"]["spec"]
    template = deployment["template"]
    assert template["metadata"]["labels"] == LABELS
    for selector in (
        deployment["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        found["PodMonitor"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector == SELECTOR
    assert found["ScaledObject"]["spec"]["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]
    (port,) = template["spec"]["containers"][0]["ports"]
    assert port == {"name": "http", "containerPort": 8000, "protocol": "TCP"}
    assert found["Service"]["spec"]["ports"] == [
        {"name": "http", "port": 8000, "targetPort": "http", "protocol": "TCP"}
    ]
    assert found["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_the_number_of_replicas_is_the_autoscalers_alone() -> None:
    assert "replicas" not in render()["Deployment"]["spec"]


def test_replicas_are_replaced_without_one_missing() -> None:
    found = render(max_surge="100%", startup_timeout_s=1200)["Deployment"]["spec"]
    assert found["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0},
    }
    assert found["progressDeadlineSeconds"] > 1200


def test_the_budget() -> None:
    budget = render(min_available=2)["PodDisruptionBudget"]["spec"]
    assert budget["minAvailable"] == 2
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert render()["PodDisruptionBudget"]["spec"]["minAvailable"] == "50%"


def test_replicas_have_no_token() -> None:
    account = render(service_account_annotations={"eks.amazonaws.com/role-arn": "arn:x"})["ServiceAccount"]
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": "arn:x"}
    assert "annotations" not in render()["ServiceAccount"]["metadata"]


def test_prometheus_is_told_how_to_scrape() -> None:
    (plain,) = render(pod_monitor=True, scrape_interval_s=5)["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert (plain["port"], plain["path"], plain["interval"]) == ("http", "/metrics", "5s")
    assert [one["targetLabel"] for one in plain["relabelings"]] == ["deployment", "replica"]
    assert "authorization" not in plain
    (keyed,) = render(pod_monitor=True, metrics_key_secret="s")["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert keyed["authorization"] == {"type": "Bearer", "credentials": {"name": "s", "key": "key"}}


@pytest.mark.parametrize(("name", "why"), [("2chat", "begins with a letter"), ("a" * 55, "54 characters")])
def test_a_name_that_kubernetes_forbids_is_one_line(name: str, why: str) -> None:
    with pytest.raises(ApplyError, match=why) as refused:
        render(name=name)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_compile_yields_them_all_and_what_must_go(tmp_path: Path) -> None:
    plugin = K8sKeda(Options(namespace="serving"), make_env(tmp_path))
    spec = DeploymentSpec("chat", EVERYTHING, AutoscalingPolicy(), frozenset({"chat-b", "chat-a"}))
    artefacts = plugin.compile((spec,)).artefacts
    assert [artefact.name for artefact in artefacts] == [artefact_name(artefact.body) for artefact in artefacts]
    assert [artefact.name for artefact in artefacts][-2:] == ["Eviction/chat-a", "Eviction/chat-b"]
    assert artefacts[-1].body["metadata"] == {"name": "chat-b", "namespace": "serving"}
    assert [artefact.name for artefact in artefacts if artefact.secret] == ["Secret/chat-engine"]


def test_the_same_twice_is_the_same_text() -> None:
    one, two = (json.dumps(render(EVERYTHING, env={"B": "1", "A": "2"})) for _ in range(2))
    assert one == two
