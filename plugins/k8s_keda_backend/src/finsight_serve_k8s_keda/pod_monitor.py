"""What tells the Prometheus operator to scrape the replicas. Pure."""

from collections.abc import Mapping

from .kinds import POD_MONITOR, Json
from .names import pod_selector
from .options import Options
from .service import HTTP

METRICS_KEY = "key"
"""The entry of `metrics_key_secret` that holds the key."""
CONTROLLER_JOB = "finsight-controller"
REPLICA: Json = {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "replica"}
"""A replica's id is its pod's name."""


def pod_monitor(name: str, labels: Mapping[str, str], options: Options) -> Json:
    """Of a deployment's replicas."""
    endpoint = _endpoint(HTTP, options, _label("deployment", name), REPLICA)
    if options.metrics_key_secret:
        credentials = {"name": options.metrics_key_secret, "key": METRICS_KEY}
        endpoint["authorization"] = {"type": "Bearer", "credentials": credentials}
    return {
        "apiVersion": POD_MONITOR.api_version,
        "kind": POD_MONITOR.kind,
        "metadata": {"name": name, "namespace": options.namespace, "labels": dict(labels)},
        "spec": _spec(pod_selector(name), endpoint),
    }


def controller_monitor(stack: str, selector: Mapping[str, str], port: str, options: Options) -> Json:
    """What it is to do; with the labels by which the core's rules and dashboards tell a stack."""
    return _spec(selector, _endpoint(port, options, _label("job", CONTROLLER_JOB), _label("stack", stack)))


def _spec(selector: Mapping[str, str], endpoint: Json) -> Json:
    return {"selector": {"matchLabels": dict(selector)}, "podMetricsEndpoints": [endpoint]}


def _endpoint(port: str, options: Options, *relabelings: Json) -> Json:
    interval = f"{options.scrape_interval_s}s"
    return {"port": port, "path": "/metrics", "interval": interval, "relabelings": list(relabelings)}


def _label(name: str, value: str) -> Json:
    return {"targetLabel": name, "replacement": value}
