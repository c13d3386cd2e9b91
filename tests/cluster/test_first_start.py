"""A first start that a cluster refuses for what it is, and not for what it lacks just now: given up at once."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from finsight_serve.controller.controller import START_PATIENCE_S

from .stands import BACKEND, ClusterStand, Place

GIVEN_UP_S = START_PATIENCE_S / 2
OF_THE_DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}
LABELS = {"app.kubernetes.io/managed-by": "finsight-serve", "app.kubernetes.io/instance": "another"}
ANOTHERS = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "chat", "labels": LABELS},
    "spec": {"ports": [{"port": 80}]},
}
AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "mine"},
    "spec": {"maxReplicas": 2, "scaleTargetRef": OF_THE_DEPLOYMENT},
}
NIGHT = {"timezone": "UTC", "start": "0 1 * * *", "end": "0 2 * * *", "desiredReplicas": "1"}
RIVAL = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "rival"},
    "spec": {"scaleTargetRef": {"name": "chat"}, "triggers": [{"type": "cron", "metadata": NIGHT}]},
}


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (ANOTHERS, "Service chat in namespace {} is another stack's (app.kubernetes.io/instance=another): `fs import`"),
        (AUTOSCALER, "Deployment chat is scaled by the HorizontalPodAutoscaler mine, and two autoscalers would fight"),
        (RIVAL, "Kubernetes refuses to patch ScaledObject chat: "),
    ],
    ids=["another-stack", "another-autoscaler", "a-webhook"],
)
def test_what_is_refused_for_good_is_told_at_once_and_nothing_is_applied(
    cluster: Place, namespace: str, there: Mapping[str, Any], why: str
) -> None:
    kubectl = cluster.kubectl
    kubectl.apply(there, namespace=namespace)
    with closing(ClusterStand(cluster, namespace)) as stand:
        stand.write()
        serving = stand.start()
        assert serving.wait_ended(GIVEN_UP_S) == 1, serving.output
        (line,) = [line for line in serving.output.splitlines() if line.startswith("fs: ")]
        assert line.startswith(f"fs: {BACKEND} can't be set up: {why.format(namespace)}")
        stand.assert_nothing_runs()
        assert kubectl("get", "deployments,pods", "-n", namespace, "-o", "name") == ""
        kubectl("delete", there["kind"], there["metadata"]["name"], "-n", namespace)  # nor may `left` find it
