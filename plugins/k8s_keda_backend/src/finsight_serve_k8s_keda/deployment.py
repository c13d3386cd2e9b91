"""The Deployment. It says nothing of how many replicas there are: that is the autoscaler's alone. Pure."""

from collections.abc import Mapping

from finsight_serve.plugin import DeploymentSpec

from .kinds import Json
from .names import pod_selector
from .options import Options
from .pod import pod_template

PULLING_S = 600
"""For a node to come and the image to be pulled, beside the time to load the model; as long as Kubernetes' default."""


def deployment(spec: DeploymentSpec, archive: bytes, labels: Mapping[str, str], options: Options) -> Json:
    """Raises `ApplyError`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": spec.name, "namespace": options.namespace, "labels": dict(labels)},
        "spec": {
            "selector": {"matchLabels": dict(pod_selector(spec.name))},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": options.max_surge, "maxUnavailable": 0},
            },
            "progressDeadlineSeconds": options.startup_timeout_s + PULLING_S,
            "revisionHistoryLimit": 2,
            "template": pod_template(spec, archive, labels, options),
        },
    }
