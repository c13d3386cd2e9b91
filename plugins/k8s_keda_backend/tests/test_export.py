"""The forms in which a plan can be had. Whether Helm and kustomize read them so is the cluster tests' to say."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from finsight_serve.capabilities import ControllerHost
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch, Plan
from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.export.manifest import to_yaml
from finsight_serve_k8s_keda.k8s_keda import K8sKeda
from finsight_serve_k8s_keda.options import Options

SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
LAUNCH = Launch(("serve", "--chat-template", "{{ messages }}"), "engine:build", signals=SIGNALS, image="engine:1")
STACK_FILE = "name: shop\nbackend: k8s-keda\n"
HOST = ControllerHost("fs:1", STACK_FILE, "shop", 8000, "llm.example.com")


@pytest.fixture
def plugin(tmp_path: Path) -> K8sKeda:
    return K8sKeda(Options(namespace="models"), make_env(tmp_path, "me"))


@pytest.fixture
def plan(plugin: K8sKeda) -> Plan:
    policy = AutoscalingPolicy(max_replicas=4)
    return plugin.compile(tuple(DeploymentSpec(name, LAUNCH, policy) for name in ("chat", "code")))


def load(text: str) -> list[Any]:
    return [body for body in YAML(typ="safe", pure=True).load_all(text) if body]


def bodies(plan: Plan) -> list[Any]:
    return [artefact.body for artefact in plan.artefacts]


def test_yaml_is_one_stream_of_all_objects_in_the_order_of_their_making(plugin: K8sKeda, plan: Plan) -> None:
    (text,) = plugin.export(plan, "yaml", None).values()
    assert load(text) == bodies(plan)


def test_kustomize_lists_a_file_for_each_object(plugin: K8sKeda, plan: Plan) -> None:
    files = dict(plugin.export(plan, "kustomize", None))
    (listing,) = load(files.pop("kustomization.yaml"))
    assert listing["resources"] == list(files)
    assert [body for text in files.values() for body in load(text)] == bodies(plan)
    assert "deployment-chat.yaml" in files


@pytest.mark.parametrize("form", ["yaml", "kustomize", "helm"])
def test_the_same_plan_gives_the_same_text(plugin: K8sKeda, plan: Plan, form: str) -> None:
    assert plugin.export(plan, form, HOST) == plugin.export(plan, form, HOST)


def test_values_are_what_people_change_where_they_install_it(plugin: K8sKeda, plan: Plan) -> None:
    (values,) = load(plugin.export(plan, "helm", None)["values.yaml"])
    assert set(values["deployments"]) == {"chat", "code"}
    chat = values["deployments"]["chat"]
    assert (chat["image"], chat["imagePullSecrets"], chat["tolerations"]) == ("engine:1", [], [])
    assert {"nodeSelector", "resources", "priorityClassName"} <= set(chat)


def test_a_chart_says_nowhere_where_it_is_installed(plugin: K8sKeda, plan: Plan) -> None:
    """Not in a query either, which asks for the series of its own pods."""
    files = plugin.export(plan, "helm", None)
    assert not [name for name, text in files.items() if "models" in text and name != "Chart.yaml"]
    assert 'namespace="{{ .Release.Namespace }}"' in files["templates/scaledobject-chat.yaml"]


def test_braces_of_ours_are_no_template(plugin: K8sKeda, plan: Plan) -> None:
    text = plugin.export(plan, "helm", None)["templates/deployment-chat.yaml"]
    assert '{{ "{{" }} messages }}' in text
    assert "{{ messages }}" in plugin.export(plan, "yaml", None)[""]


def test_evictions_are_no_state_that_could_be_exported(plugin: K8sKeda) -> None:
    spec = DeploymentSpec("chat", LAUNCH, AutoscalingPolicy(max_replicas=4), frozenset({"chat-1-2"}))
    (text,) = plugin.export(plugin.compile((spec,)), "yaml", None).values()
    assert "kind: Eviction" not in text and "chat-1-2" not in text


@pytest.mark.parametrize("form", ["yaml", "kustomize", "helm"])
def test_a_secret_is_written_into_no_file(plugin: K8sKeda, form: str) -> None:
    spec = DeploymentSpec("chat", replace(LAUNCH, env={"HUB_TOKEN": "a-token"}), AutoscalingPolicy(max_replicas=4))
    plan = plugin.compile((spec,))
    (secret,) = (artefact for artefact in plan.artefacts if artefact.secret)
    text = "".join(plugin.export(plan, form, None).values())
    assert secret.body["data"]["HUB_TOKEN"] not in text and "a-token" not in text
    assert "# Secret/chat-engine is not written into files. Make it by other means, with HUB_TOKEN.\n" in text
    assert "name: chat-engine" in text, "the pod still refers to it"


def test_an_unknown_form_is_a_line(plugin: K8sKeda, plan: Plan) -> None:
    with pytest.raises(ApplyError, match="there is no form 'jsonnet'; there are yaml, kustomize, helm"):
        plugin.export(plan, "jsonnet", None)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
SPOKEN = st.sampled_from(
    ["yes", "NO", "on", "y", "1_000", "12:30", "0x1f", "1e3", "~", "null", "true", "a\nb\n", "a\n\n"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | SPOKEN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | SPOKEN, inner, max_size=3),
)


@given(VALUES)
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    assert YAML(typ="safe", pure=True).load(to_yaml(value)) == value


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF", "y", "1_000", "12:30:00", "0.5"])
def test_what_yaml_1_1_reads_otherwise_is_quoted(word: str) -> None:
    """Kubernetes' tools read YAML so."""
    old = YAML(typ="safe", pure=True)
    old.version = (1, 1)
    assert old.load(to_yaml({"value": word})) == {"value": word}


def kinds(text: str) -> Mapping[str, Any]:
    return {body["kind"]: body for body in load(text)}


@pytest.fixture
def controller(plugin: K8sKeda) -> Mapping[str, Any]:
    return kinds(plugin.export(Plan(()), "yaml", HOST)[""])


def test_the_controller_is_one_pod_and_never_two(controller: Mapping[str, Any]) -> None:
    spec = controller["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert controller["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert controller["ConfigMap"]["data"] == {"fs.yaml": STACK_FILE}


def test_a_changed_file_makes_another_pod(plugin: K8sKeda, controller: Mapping[str, Any]) -> None:
    changed = ControllerHost("fs:1", STACK_FILE + "# more\n", "shop", 8000)
    other = kinds(plugin.export(Plan(()), "yaml", changed)[""])
    annotations = [found["Deployment"]["spec"]["template"]["metadata"]["annotations"] for found in (controller, other)]
    assert annotations[0] != annotations[1]


def test_the_controllers_pod_is_restricted(controller: Mapping[str, Any]) -> None:
    """As the Pod Security Standard of that name asks."""
    pod = controller["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert all(not {"hostPath"} & set(volume) for volume in pod["volumes"])


def test_nothing_of_the_controllers_is_marked_as_an_owners(controller: Mapping[str, Any]) -> None:
    """What bears an owner's label and is not in the plan is pruned."""
    for body in controller.values():
        assert "app.kubernetes.io/managed-by" not in body["metadata"]["labels"]


def test_the_replicas_let_the_controller_in(plan: Plan, controller: Mapping[str, Any]) -> None:
    (policy,) = (
        body for body in bodies(plan) if body["kind"] == "NetworkPolicy" and body["metadata"]["name"] == "chat"
    )
    labels = controller["Deployment"]["spec"]["template"]["metadata"]["labels"]
    peers = [
        peer["podSelector"]["matchLabels"] for peer in policy["spec"]["ingress"][0]["from"] if "podSelector" in peer
    ]
    assert any(peer.items() <= labels.items() for peer in peers)


def test_requests_come_by_the_ingress_to_the_load_balancer(controller: Mapping[str, Any]) -> None:
    (rule,) = controller["Ingress"]["spec"]["rules"]
    assert rule["host"] == "llm.example.com"
    assert controller["Ingress"]["spec"]["tls"] == [{"hosts": ["llm.example.com"], "secretName": "shop-tls"}]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "shop-controller", "port": {"name": "http"}}
    assert controller["Service"]["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    (container,) = controller["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]


def test_prometheus_reads_the_controller_where_it_has_a_port_for_it(tmp_path: Path) -> None:
    plugin = K8sKeda(Options(namespace="models", pod_monitor=True, scrape_interval_s=5), make_env(tmp_path, "me"))
    found = kinds(plugin.export(Plan(()), "yaml", replace(HOST, metrics_port=9464))[""])
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "metrics", "containerPort": 9464} in container["ports"]
    assert {"name": "metrics", "port": 9464, "targetPort": "metrics"} in found["Service"]["spec"]["ports"]
    monitor = found["PodMonitor"]["spec"]
    assert (
        monitor["selector"]["matchLabels"].items()
        <= found["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    )
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["interval"]) == ("metrics", "5s")
    labels = {one["targetLabel"]: one["replacement"] for one in endpoint["relabelings"]}
    assert labels == {"job": "finsight-controller", "stack": "shop"}


@pytest.mark.parametrize(("monitored", "port"), [(True, 0), (False, 9464)])
def test_nobody_is_told_to_read_what_is_not_there_or_not_asked_for(tmp_path: Path, monitored: bool, port: int) -> None:
    plugin = K8sKeda(Options(pod_monitor=monitored), make_env(tmp_path, "me"))
    assert "PodMonitor" not in kinds(plugin.export(Plan(()), "yaml", replace(HOST, metrics_port=port))[""])


def test_without_a_name_there_is_no_certificate(plugin: K8sKeda) -> None:
    found = kinds(plugin.export(Plan(()), "yaml", ControllerHost("fs:1", STACK_FILE, "shop", 8000))[""])
    assert "tls" not in found["Ingress"]["spec"] and "host" not in found["Ingress"]["spec"]["rules"][0]


def rights(controller: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in controller["Role"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_role_is_of_one_namespace_and_what_it_needs(controller: Mapping[str, Any]) -> None:
    assert "ClusterRole" not in controller and controller["Role"]["metadata"]["namespace"] == "models"
    found = rights(controller)
    assert not [right for right in found if "*" in right]
    assert ("", "pods", "delete") in found and ("", "pods", "create") not in found
    assert ("apps", "deployments", "patch") in found and ("", "pods/log", "get") in found


@pytest.mark.parametrize("written", ["gateway", "{plugin: gateway, gateway: models/public}"])
def test_routes_are_a_right_of_who_makes_them(plugin: K8sKeda, controller: Mapping[str, Any], written: str) -> None:
    host = ControllerHost("fs:1", f"{STACK_FILE}load_balancer: {written}\nedge: nginx\n", "shop", 8000)
    found = rights(kinds(plugin.export(Plan(()), "yaml", host)[""]))
    more = found - rights(controller)
    assert {resource for _, resource, _ in more} == {"httproutes", "endpointslices", "ingresses", "gateways"}


def test_a_gateway_elsewhere_is_closed_there(plugin: K8sKeda) -> None:
    balancer = "{plugin: gateway, gateway: entry/public, proxy_selector: {app: envoy}, edge_cidrs: [10.0.0.1/32]}"
    host = ControllerHost("fs:1", f"{STACK_FILE}load_balancer: {balancer}\n", "shop", 8000)
    found = load(plugin.export(Plan(()), "yaml", host)[""])
    (role,) = (one for one in found if one["kind"] == "Role" and one["metadata"]["namespace"] == "entry")
    assert {right[1] for right in rights({"Role": role})} == {"gateways", "networkpolicies"}
    bindings = [one for one in found if one["kind"] == "RoleBinding"]
    assert {one["subjects"][0]["namespace"] for one in bindings} == {"models"}


@pytest.mark.parametrize("option", [{"context": "east"}, {"kubeconfig": "/somewhere"}])
def test_a_file_for_another_machine_is_refused(tmp_path: Path, option: Mapping[str, str]) -> None:
    plugin = K8sKeda(Options.model_validate(option), make_env(tmp_path, "me"))
    with pytest.raises(ApplyError, match=f"{next(iter(option))} is set, but in the cluster"):
        plugin.export(Plan(()), "yaml", HOST)


def test_a_controllers_chart_is_for_the_namespace_of_its_file(plugin: K8sKeda) -> None:
    files = plugin.export(Plan(()), "helm", HOST)
    guarded = [name for name, text in files.items() if "fs.yaml says namespace: models" in text]
    assert guarded == ["templates/configmap-shop-controller.yaml"]
    (values,) = load(files["values.yaml"])
    assert values["controller"]["image"] == "fs:1" and values["ingress"]["host"] == "llm.example.com"
