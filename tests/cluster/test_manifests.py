"""What is rendered, against a real API server: it takes it, gives it back as it was, and its pods get ready."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import DeploymentSpec, Launch
from finsight_serve_k8s_keda.engine_archive import EngineArchives
from finsight_serve_k8s_keda.manifests import manifests
from finsight_serve_k8s_keda.options import Options
from finsight_serve_k8s_keda.ownership import FIELD_MANAGER, owned
from finsight_serve_sim.sim_engine import SimEngine

from .harness.cluster import Cluster
from .harness.errors import HarnessError
from .harness.given import GivenCluster
from .harness.kubectl import Kubectl

IMAGE = "registry.example/engine:1"
EVERYTHING: Mapping[str, Any] = {
    "image_pull_secrets": ["registry"],
    "memory": "1536Mi",
    "cpu_limit": 1.5,
    "env": {"LEVEL": "$(HOME)", "A": ""},
    "env_from_secrets": ["theirs"],
    "volumes": [
        {"mount_path": "/a", "claim": "models", "read_only": False},
        {"mount_path": "/b", "secret": "token"},
        {"mount_path": "/c", "config_map": "settings"},
        {"mount_path": "/d", "empty_dir": "1024Mi"},
    ],
    "service_account_annotations": {"example.com/role": "reader"},
    "node_selector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, {"operator": "Exists"}],
    "priority_class": "system-cluster-critical",
    "min_available": 1,
    "max_surge": 2,
    "metrics_key_secret": "scraping",
    "allow_from": ["projectcontour", "10.0.0.0/8"],
}
PLAIN: Mapping[str, Any] = {"pre_stop_s": 0, "network_policy": False}
SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
GPUS = Launch(
    ("serve", "--port", "{port}"),
    "engine:build",
    env={"HUB_TOKEN": "hush"},
    signals=SIGNALS,
    num_cpus=0.25,
    num_gpus=2.0,
    py_modules=("pluggy",),
)


def rendered(launch: Launch, namespace: str, **options: Any) -> list[dict[str, Any]]:
    chosen = Options.model_validate({"namespace": namespace, "image": IMAGE} | options)
    archive = EngineArchives().of(launch)
    return list(manifests(DeploymentSpec("chat", launch, AutoscalingPolicy()), (), archive, "owner-1", chosen))


def applied(kubectl: Kubectl, bodies: list[dict[str, Any]], *flags: str) -> list[dict[str, Any]]:
    stream = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    how = ("apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "--show-managed-fields", "-o", "json")
    found: list[dict[str, Any]] = json.loads(kubectl(*how, *flags, "-f", "-", stdin=stream))["items"]
    return found


@pytest.fixture
def strict(cluster: Cluster | GivenCluster) -> Iterator[str]:
    """A namespace that admits "restricted" pods alone."""
    with cluster.namespace(**{"pod-security.kubernetes.io/enforce": "restricted"}) as name:
        yield name


@pytest.mark.parametrize("options", [{}, PLAIN, EVERYTHING], ids=["default", "plain", "everything"])
@pytest.mark.parametrize("launch", [GPUS, replace(GPUS, num_gpus=0.0, env={}, py_modules=())], ids=["gpus", "cpu"])
def test_what_is_applied_reads_back_equal(
    cluster: Cluster | GivenCluster, namespace: str, launch: Launch, options: Mapping[str, Any]
) -> None:
    """Else each look at the cluster would show a difference that nobody made."""
    bodies = rendered(launch, namespace, **options)
    assert [owned(live) for live in applied(cluster.kubectl, bodies, "--dry-run=server")] == bodies


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["default", "everything"])
def test_a_restricted_namespace_admits_the_pods(
    cluster: Cluster | GivenCluster, strict: str, options: Mapping[str, Any]
) -> None:
    assert admitted(cluster, rendered(GPUS, strict, **options)) == ""


def test_it_does_not_admit_host_paths(cluster: Cluster | GivenCluster, strict: str) -> None:
    """So that the test above can fail."""
    bodies = rendered(GPUS, strict, volumes=[{"mount_path": "/a", "host_path": "/srv"}])
    assert "restricted volume types" in admitted(cluster, bodies)


def admitted(cluster: Cluster | GivenCluster, bodies: list[dict[str, Any]]) -> str:
    """Why the API server refuses the pod of the template: to refuse a Deployment's is left to its controller."""
    (template,) = (body["spec"]["template"] for body in bodies if body["kind"] == "Deployment")
    metadata = {"name": "admission", "namespace": bodies[0]["metadata"]["namespace"]}
    cluster.kubectl.apply(*(body for body in bodies if body["kind"] == "ServiceAccount"))
    spec = {name: value for name, value in template["spec"].items() if name != "priorityClassName"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    except HarnessError as refused:
        return str(refused)
    return ""


def test_the_simulated_engine_gets_ready_from_its_archive(
    cluster: Cluster | GivenCluster,
    namespace: str,
    host_image: str,
    host_mounts: list[dict[str, Any]],
) -> None:
    launch = SimEngine(SimEngine.Options(), None).launch("tiny")  # type: ignore[arg-type]
    options = {
        "image": host_image,
        "image_pull_policy": "Never",
        "python": sys.executable,
        "volumes": host_mounts,
        "startup_timeout_s": 120,
    }
    applied(cluster.kubectl, rendered(launch, namespace, **options))
    cluster.kubectl("rollout", "status", "deployment/chat", "-n", namespace, "--timeout=120s", timeout_s=130)
    where = (
        "import finsight_serve_sim, finsight_serve.replica_guard as g; print(finsight_serve_sim.__file__, g.__file__)"
    )
    run = ("exec", "-n", namespace, "deployment/chat", "--", sys.executable, "-c", where)
    assert all(path.startswith("/finsight/engine.zip/") for path in cluster.kubectl(*run).split())
    answer = cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/services/chat:http/proxy/v1/models")
    assert json.loads(answer)["data"][0]["id"] == "tiny"
