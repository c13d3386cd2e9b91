"""What tells the Prometheus operator to scrape the replicas. Pure."""

from collections.abc import Mapping

from .kinds import Json
from .names import pod_selector
from .options import Options
from .service import HTTP

METRICS_KEY = "key"
"""The entry of `metrics_key_secret` that holds the key."""


def pod_monitor(name: str, labels: Mapping[str, str], options: Options) -> Json:
    endpoint: Json = {"port": HTTP, "path": "/metrics", "interval": f"{options.scrape_interval_s}s"}
    if options.metrics_key_secret:
        credentials = {"name": options.metrics_key_secret, "key": METRICS_KEY}
        endpoint["authorization"] = {"type": "Bearer", "credentials": credentials}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": name, "namespace": options.namespace, "labels": dict(labels)},
        "spec": {"selector": {"matchLabels": dict(pod_selector(name))}, "podMetricsEndpoints": [endpoint]},
    }
