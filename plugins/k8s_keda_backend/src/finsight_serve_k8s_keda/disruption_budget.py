"""How many replicas a drained node must leave. Pure."""

from collections.abc import Mapping

from .kinds import Json
from .names import pod_selector
from .options import Options


def disruption_budget(name: str, labels: Mapping[str, str], options: Options) -> Json:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": options.namespace, "labels": dict(labels)},
        "spec": {
            "minAvailable": options.min_available,
            "selector": {"matchLabels": dict(pod_selector(name))},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",  # a replica that never gets ready must not hold a node back
        },
    }
