"""What a real Prometheus answers to what KEDA will ask, directly and by way of a real API server."""

import secrets
from typing import Any

import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError
from finsight_serve.testing import find_free_port, make_env
from finsight_serve_k8s_keda.kube_api import connect
from finsight_serve_k8s_keda.options import Options
from finsight_serve_k8s_keda.queries import queue_query, ready_query
from finsight_serve_k8s_keda.signal import check_signal

from .autoscaled import SIGNALS, Metrics, served

pytestmark = pytest.mark.anyio
ZERO = AutoscalingPolicy(min_replicas=0, max_replicas=4, look_back_period_s=2)
CONFIG = "scrape_configs: [{job_name: itself, scrape_interval: 1s, static_configs: [{targets: ['localhost:9090']}]}]"


@pytest.fixture
def scraped(cluster: Any, namespace: str) -> Any:
    """A namespace whose deployments' metrics are what a test says."""
    with served(metrics := Metrics(namespace), cluster.host_address) as target:
        cluster.scrape(namespace, target)
        yield metrics


def scaled_object(*queries: str) -> dict[str, Any]:
    triggers = [
        {"type": "prometheus", "name": f"q{place}", "metadata": {"query": query}} for place, query in enumerate(queries)
    ]
    return {"kind": "ScaledObject", "metadata": {"name": "chat"}, "spec": {"triggers": triggers}}


async def asked(cluster: Any, folder: Any, *queries: str, **options: Any) -> list[str]:
    given = {"kubeconfig": cluster.kubeconfig, "context": cluster.context, "prometheus": cluster.prometheus_url}
    settings, said = Options.model_validate(given | options), list[str]()
    async with connect(settings) as api:
        await check_signal([scaled_object(*queries)], api, make_env(folder).http, settings, said.append)
    return said


async def test_the_queries_mean_what_they_should(cluster: Any, scraped: Metrics, tmp_path: Any) -> None:
    """With engines their own numbers; without, the load balancer's; with neither, none."""
    options = Options(namespace=scraped.namespace, scrape_interval_s=2, load_balancer_labels={"tenant": "t"})
    name = f"chat{secrets.token_hex(2)}"
    queries = queue_query(name, SIGNALS, ZERO, options), ready_query(name, SIGNALS, ZERO, options)

    def values(*wanted: float | None) -> bool:
        results = [cluster.query(query) for query in queries]
        return [float(found[0]["value"][1]) if found else None for found in results] == list(wanted)

    assert values(None, None)
    scraped.load[name], scraped.open_at_the_edge[name], scraped.refused_at_the_edge[name] = 7, 3, 5
    cluster.kubectl.wait(lambda: values(7, 1), 60, "the engine's number")
    said = await asked(cluster, tmp_path, *queries)
    assert [line.partition(": ")[2].partition(",")[0] for line in said] == ["answers 7", "answers 1"]
    scraped.load[name] = None
    cluster.kubectl.wait(lambda: values(3, 0), 60, "the load balancer's number")
    scraped.open_at_the_edge[name], scraped.refused_at_the_edge[name] = 0, 9
    cluster.kubectl.wait(lambda: values(1, 0), 60, "one for all that were refused")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sum(", "refuses the query sum\\(: .*parse error"),
        ("up", "answers [0-9]+ series, and KEDA takes one"),
        ("vector(0) / vector(0)", "answers nan, which is no number"),
    ],
)
async def test_what_keda_could_not_use_is_one_line(cluster: Any, tmp_path: Any, query: str, message: str) -> None:
    with pytest.raises(ApplyError, match=message) as refused:
        await asked(cluster, tmp_path, query)
    assert len(str(refused.value).splitlines()) == 1


async def test_no_series_yet_is_only_said(cluster: Any, tmp_path: Any) -> None:
    (line,) = await asked(cluster, tmp_path, 'sum(no_such_series{pod="a"})')
    assert 'no series yet of no_such_series{pod="a"}' in line


async def test_who_does_not_answer_or_is_another(cluster: Any, scraped: Metrics, tmp_path: Any) -> None:
    with pytest.raises(ApplyError, match="can't be reached"):
        await asked(cluster, tmp_path, "sum(up)", prometheus=f"http://127.0.0.1:{find_free_port()}")
    with served(scraped, "127.0.0.1") as other, pytest.raises(ApplyError, match="is no Prometheus"):
        await asked(cluster, tmp_path, "sum(up)", prometheus=f"http://{other}")


async def test_an_in_cluster_prometheus_is_asked_through_the_api_server(
    cluster: Any, namespace: str, host_pod: Any, tmp_path: Any
) -> None:
    cluster.kubectl.apply(*prometheus(cluster, host_pod), namespace=namespace)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/prometheus", "-n", namespace, "--timeout=60s", timeout_s=70)
    there = f"http://prometheus.{namespace}.svc:9090"

    async def answers() -> list[str]:
        return await asked(cluster, tmp_path, 'sum(up{job="itself"})', prometheus=there)

    (line,) = await answers()
    assert "answers 1, from 1 series" in line or "no series yet" in line
    with pytest.raises(ApplyError, match="can't be asked by way of the API server"):
        await asked(cluster, tmp_path, "sum(up)", prometheus=f"http://nobody.{namespace}.svc:9090")


def prometheus(cluster: Any, host_pod: Any) -> list[dict[str, Any]]:
    volumes, mounts = host_pod
    binary = cluster.binaries["prometheus"]
    labels = {"app": "prometheus"}
    flags = ["--config.file=/config/prometheus.yaml", "--storage.tsdb.path=/data"]
    container = {
        "name": "prometheus",
        "image": cluster.host_image,
        "imagePullPolicy": "Never",
        "command": [f"/binaries/{binary.name}", *flags],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
        "volumeMounts": [
            *mounts,
            {"name": "binaries", "mountPath": "/binaries", "readOnly": True},
            {"name": "config", "mountPath": "/config"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    extra = [
        {"name": "binaries", "hostPath": {"path": str(binary.parent)}},
        {"name": "config", "configMap": {"name": "prometheus"}},
        {"name": "data", "emptyDir": {}},
    ]
    metadata = {"name": "prometheus", "labels": labels}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"prometheus.yaml": CONFIG}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 9090}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [container], "volumes": [*volumes, *extra]},
        },
    ]
