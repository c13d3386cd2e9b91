"""The kinds of Kubernetes objects that this plugin writes or watches, and where the API server keeps them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    api_version: str  # "apps/v1", "v1"
    kind: str
    plural: str
    install: str = ""  # where it isn't built in: what to install
    namespaced: bool = True

    @property
    def group(self) -> str:
        """ "" for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def resource(self) -> str:
        """As kubectl takes it: "pods", "scaledobjects.keda.sh"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """Where the kinds of its group and version are listed."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"

    def path(self, namespace: str, name: str = "") -> str:
        where = f"namespaces/{namespace}/" if self.namespaced else ""
        return f"{self.root}/{where}{self.plural}" + (f"/{name}" if name else "")


SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
SECRET = Kind("v1", "Secret", "secrets")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE = Kind("v1", "Service", "services")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
HPA = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
SCALED_OBJECT = Kind(
    "keda.sh/v1alpha1", "ScaledObject", "scaledobjects", "KEDA 2.17 or later: https://keda.sh/docs/latest/deploy/"
)
POD_MONITOR = Kind(
    "monitoring.coreos.com/v1", "PodMonitor", "podmonitors", "the Prometheus operator, or set pod_monitor: false"
)
HTTP_ROUTE = Kind(
    "gateway.networking.k8s.io/v1",
    "HTTPRoute",
    "httproutes",
    "the Gateway API and a controller for it: https://gateway-api.sigs.k8s.io/guides/",
)
GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways", HTTP_ROUTE.install)
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
ACCESS_REVIEW = Kind("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)

APPLIED: tuple[Kind, ...] = (
    SERVICE_ACCOUNT,
    SECRET,
    CONFIG_MAP,
    NETWORK_POLICY,
    SERVICE,
    DISRUPTION_BUDGET,
    DEPLOYMENT,
    POD_MONITOR,
    SCALED_OBJECT,
)
"""What a deployment consists of, in the order in which it is applied; removed in the opposite one."""
ALL: tuple[Kind, ...] = (
    *APPLIED,
    POD,
    EVENT,
    INGRESS,
    ENDPOINT_SLICE,
    HPA,
    HTTP_ROUTE,
    GATEWAY,
    NAMESPACE,
    ACCESS_REVIEW,
)


def kind_of(body: Mapping[str, Any], kinds: tuple[Kind, ...]) -> Kind:
    """Raises `KeyError` for a kind that isn't among `kinds`."""
    known = {(kind.api_version, kind.kind): kind for kind in kinds}
    return known[body["apiVersion"], body["kind"]]


def artefact_name(body: Mapping[str, Any]) -> str:
    """ "Deployment/chat" """
    return f"{body['kind']}/{body['metadata']['name']}"


def is_secret(body: Mapping[str, Any]) -> bool:
    return bool(body["kind"] == SECRET.kind)
