"""The address that stays while replicas come and go. Pure."""

from collections.abc import Mapping

from .kinds import Json
from .names import pod_selector
from .options import Options

HTTP = "http"
"""The port's name, in the pod and in its service."""


def service(name: str, labels: Mapping[str, str], options: Options) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": options.namespace, "labels": dict(labels)},
        "spec": {
            "type": "ClusterIP",
            "selector": dict(pod_selector(name)),
            "ports": [{"name": HTTP, "port": options.port, "targetPort": HTTP, "protocol": "TCP"}],
        },
    }
