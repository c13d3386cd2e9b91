"""Names and labels: what marks an object as this stack's. Pure."""

import re
from collections.abc import Mapping

from finsight_serve.plugin import ApplyError

MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER = "app.kubernetes.io/instance"
DEPLOYMENT = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
REPLICAS, ROUTES = "replicas", "routes"
"""Components: what an orchestrator applies for an owner and what a load balancer does; neither prunes the other's."""
CONTROLLER = "controller"
"""The component of a pod that runs `fs serve` inside the cluster."""
MANAGER = "finsight-serve"
LONGEST_NAME = 63 - len("keda-hpa-")
"""KEDA names the HPA after the ScaledObject, in a label."""
SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
"""RFC 1035, since a service's name is looked up in the DNS."""


def check_name(deployment: str) -> None:
    """Raises `ApplyError`."""
    if len(deployment) > LONGEST_NAME:
        raise ApplyError(
            f"deployment {deployment!r}: a name may have {LONGEST_NAME} characters on Kubernetes with KEDA, and this "
            f"one has {len(deployment)}: give it a shorter one"
        )
    if not SERVICE_NAME.fullmatch(deployment):
        raise ApplyError(
            f"deployment {deployment!r}: a service's name on Kubernetes begins with a letter, ends with a letter or "
            "digit, and has only those and - between: give it another one"
        )


def owner_labels(owner: str) -> Mapping[str, str]:
    """Without an owner (an export by who never served) only the manager is named."""
    return {MANAGED_BY: MANAGER, **({OWNER: owner} if owner else {})}


def component_labels(owner: str, component: str) -> Mapping[str, str]:
    return {**owner_labels(owner), COMPONENT: component}


def deployment_labels(owner: str, deployment: str) -> Mapping[str, str]:
    return {**component_labels(owner, REPLICAS), DEPLOYMENT: deployment}


def owner_selector(owner: str, component: str = "") -> str:
    """Without a component: all that is the owner's."""
    labels = component_labels(owner, component) if component else owner_labels(owner)
    return ",".join(f"{name}={value}" for name, value in labels.items())


def controller_selector() -> Mapping[str, str]:
    """Any stack's controller: which one is whose is only known once it runs."""
    return {COMPONENT: CONTROLLER, PART_OF: MANAGER}


def pod_selector(deployment: str) -> Mapping[str, str]:
    """What a Deployment selects by, which can't change later: so not the owner."""
    return {DEPLOYMENT: deployment, MANAGED_BY: MANAGER}
