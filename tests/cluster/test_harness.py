"""The harness's own cluster: what the other tests of this tier rely on."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from ..e2e.waiting import wait_until
from .harness import clusters
from .harness.cluster import Cluster
from .harness.errors import HarnessError
from .harness.host_mounts import REPOSITORY

TENANT = {"x-finsight-tenant": "t"}


def pod_spec(image, host_pod, *command, port=None):
    volumes, mounts = host_pod
    container = {"name": "c", "image": image, "imagePullPolicy": "Never", "command": list(command)}
    container |= {"volumeMounts": mounts, "securityContext": {"allowPrivilegeEscalation": False}}
    if port:
        container |= {"ports": [{"name": "http", "containerPort": port}]}
        container |= {"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}}
    return {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}


def deploy(cluster, namespace, spec, **labels):
    """A Deployment `d` and its Service, ready."""
    labels = {"app": "d", **labels}
    template = {"metadata": {"labels": labels}, "spec": spec}
    cluster.kubectl.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "d"},
            "spec": {"selector": {"app": "d"}, "ports": [{"port": 80, "targetPort": "http"}]},
        },
        namespace=namespace,
    )
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Available", "deployment/d", "--timeout=50s")


def http_server(port=8000):
    return (sys.executable, "-m", "http.server", "--directory", "/etc", str(port))


def get(url, **headers):
    return httpx.get(url, headers=headers, trust_env=False, timeout=5)


def answers(url, **headers):
    try:
        return get(url, **headers).is_success
    except httpx.HTTPError:
        return False


def test_a_pod_runs_this_environment_as_user_1000(cluster, namespace, host_image, host_pod):
    code = "import os, finsight_serve_sim; print(os.getuid())"
    spec = pod_spec(host_image, host_pod, sys.executable, "-c", code) | {"restartPolicy": "Never"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    cluster.kubectl.apply(pod, namespace=namespace)
    cluster.kubectl("wait", "-n", namespace, "pod/p", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=50s")
    assert cluster.kubectl("logs", "-n", namespace, "p").strip() == "1000"


def test_pods_services_and_the_gateway_answer_from_here(cluster, namespace, host_image, host_pod):
    deploy(cluster, namespace, pod_spec(host_image, host_pod, *http_server(), port=8000))
    pod = pod_address(cluster, namespace)
    service = cluster.kubectl.json("get", "service", "d", "-n", namespace)["spec"]["clusterIP"]
    assert get(f"http://{pod}:8000/passwd").text == get(f"http://{service}/passwd").text
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {
            "parentRefs": [{"name": "gateway", "namespace": "projectcontour"}],
            "rules": [
                {
                    "matches": [{"headers": [{"name": name, "value": value} for name, value in TENANT.items()]}],
                    "backendRefs": [{"name": "d", "port": 80}],
                }
            ],
        },
    }
    cluster.kubectl.apply(route, namespace=namespace)
    url = f"http://{cluster.gateway_address}/passwd"
    cluster.kubectl.wait(lambda: answers(url, **TENANT), 60, "the route")
    assert get(url).status_code == 404
    from_a_pod = f"http://{cluster.gateway_in_cluster}/passwd"
    code = f"import urllib.request as u; print(u.urlopen(u.Request('{from_a_pod}', headers={TENANT})).status)"
    assert cluster.kubectl("exec", "-n", namespace, "deploy/d", "--", sys.executable, "-c", code).strip() == "200"


def test_a_pod_reaches_this_host(cluster, namespace, host_image, host_pod):
    deploy(cluster, namespace, pod_spec(host_image, host_pod, *http_server(), port=8000))
    code = f"import socket; print(socket.create_connection(('{cluster.host_address}', PORT), 5).getsockname()[0])"
    with socket.create_server((cluster.host_address, 0)) as listener:
        code = code.replace("PORT", str(listener.getsockname()[1]))
        said = cluster.kubectl("exec", "-n", namespace, "deploy/d", "--", sys.executable, "-c", code).strip()
        assert listener.accept()[1][0] == said


def test_external_metrics_and_the_tolerance_of_an_hpa_are_there(cluster, namespace):
    assert '"APIResourceList"' in cluster.kubectl("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1")
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"},
            "maxReplicas": 2,
            "behavior": {"scaleUp": {"tolerance": "50m"}},
        },
    }
    cluster.kubectl.apply(hpa, namespace=namespace)
    assert cluster.kubectl.json("get", "hpa", "h", "-n", namespace)["spec"]["behavior"]["scaleUp"]["tolerance"] == "50m"


def test_prometheus_reads_replicas_with_its_key_and_sees_deployments(cluster, namespace, host_image, host_pod):
    engine = (sys.executable, "-m", "finsight_serve_sim", "--host", "0.0.0.0", "--port", "8000", "--model", "m")
    spec = pod_spec(host_image, host_pod, *engine, port=8000)
    spec["containers"][0]["env"] = [
        {"name": "FINSIGHT_KEY_SHA256", "value": "0" * 64},
        {"name": "FINSIGHT_METRICS_KEY", "value": cluster.metrics_key},
    ]
    deploy(cluster, namespace, spec, **{"app.kubernetes.io/managed-by": "finsight-serve"})
    here = f'{{namespace="{namespace}"}}'
    series = cluster.kubectl.wait(lambda: cluster.query(f"vllm:num_requests_running{here}"), 60, "the replica's series")
    assert series[0]["metric"]["pod"].startswith("d-")
    ready = f"kube_deployment_status_replicas_ready{here}"
    cluster.kubectl.wait(lambda: [one for one in cluster.query(ready) if one["value"][1] == "1"], 60, "its readiness")


def test_restricted_namespaces_refuse_host_paths(cluster, host_image, host_pod):
    with cluster.namespace(**{"pod-security.kubernetes.io/enforce": "restricted"}) as name:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": pod_spec(host_image, host_pod, "x"),
        }
        with pytest.raises(HarnessError, match="violates PodSecurity"):
            cluster.kubectl.apply(pod, namespace=name)


def test_two_clusters_side_by_side_and_one_ends_without_a_trace(cluster, make_cluster, host_image, host_pod):
    if not isinstance(cluster, Cluster):
        pytest.skip("the first one isn't the harness's own")
    other = make_cluster()
    with cluster.namespace() as here, other.namespace() as there:
        spec = pod_spec(host_image, host_pod, *http_server(), port=8000)
        deploy(cluster, here, spec)
        deploy(other, there, spec)
        near, far = pod_address(cluster, here), pod_address(other, there)
        code = f"import urllib.request as u; print(u.urlopen('http://{far}:8000/passwd', timeout=5).status)"
        ask = partial(cluster.kubectl, "exec", "-n", here, "deploy/d", "--", sys.executable, "-c", code)
        cluster.kubectl.wait(lambda: ask().strip() == "200", 60, "an answer from the other cluster's pod")

        inside = processes_of(other)
        assert {"kubelet", "envoy", "etcd", "coredns", "keda"} <= {process.name() for process in inside}
        other.stop()
        assert not other.state.exists()
        wait_until(lambda: not any(map(lives, inside)), 60, "the end of its processes")
        assert str(other.state) not in Path("/proc/mounts").read_text()
        assert not Path("/sys/class/net", other.sandbox.link).exists()
        assert not list(Path("/sys/fs/cgroup").glob(f"*/{other.sandbox.cgroup}"))
        assert answers(f"http://{near}:8000/passwd")


def pod_address(cluster, namespace):
    return cluster.kubectl.json("get", "pods", "-n", namespace)["items"][0]["status"]["podIP"]


def processes_of(cluster):
    """Of its process namespace, and of its pods, whose namespaces lie within."""
    namespace = os.readlink(f"/proc/{cluster.sandbox.first_process}/ns/pid")
    return [process for process in psutil.process_iter() if is_of(cluster, process.pid, namespace)]


def lives(process):
    """Whether it does anything yet; whoever inherited a dead one may be slow to reap it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_of(cluster, pid, namespace):
    try:
        in_pod = f"/{cluster.sandbox.cgroup}/" in Path(f"/proc/{pid}/cgroup").read_text()
        return in_pod or os.readlink(f"/proc/{pid}/ns/pid") == namespace
    except OSError:  # gone, or one that nobody may look at
        return False


def test_an_abandoned_cluster_ends_with_its_owner_and_the_next_start_clears_it(cluster):
    """Killed while it starts: nothing of it may wait for anyone."""
    if not isinstance(cluster, Cluster):
        pytest.skip("the cluster isn't the harness's own")
    binaries, root = cluster.binaries, Path(f"{clusters.ROOT}-{secrets.token_hex(2)}")
    code = f"""
from pathlib import Path
from tests.cluster.harness import clusters
from tests.cluster.harness.builds import Binaries
from tests.cluster.harness.cluster import Settings
clusters.make("left", Binaries(Path({str(binaries.cache)!r})), Settings(), Path({str(root)!r}))
"""
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    try:
        left = wait_until(lambda: clusters.find("left", binaries, root), 60, "its folder")
        wait_until(lambda: left.sandbox.alive("kube-apiserver"), 60, "its API server")
        inside = processes_of(left)
    finally:
        owner.kill()
        owner.wait()
    wait_until(lambda: not any(map(lives, inside)), 60, "the end of its processes")
    said = []
    clusters.end_abandoned(binaries, said.append, root)
    assert said == ["ending the abandoned cluster left"]
    assert [path.name for path in root.iterdir()] == ["lock"]
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{left.sandbox.cgroup}"))
    shutil.rmtree(root)


def test_the_api_server_and_the_kubelet_come_back_where_they_were(cluster):
    if not isinstance(cluster, Cluster):
        pytest.skip("the cluster isn't the harness's own")
    cluster.stop_api_server()
    try:
        assert not cluster.kubectl.works("get", "--raw", "/readyz")
    finally:
        cluster.start_api_server()
    assert cluster.kubectl.works("get", "namespaces")
    cluster.kill_kubelet()
    assert cluster.dead == ["kubelet"]
    cluster.start_kubelet()
    assert cluster.dead == []
