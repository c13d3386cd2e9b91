"""Who may reach the replicas: this stack's other pods, a controller, the Prometheus, and whom a person names. Pure.

The kubelet's probes come from the node, which a NetworkPolicy never shuts out. What replicas reach is left open: they
may pull their model from anywhere.
"""

from collections.abc import Iterator, Mapping

from .kinds import Json
from .names import COMPONENT, REPLICAS, controller_selector, owner_labels, pod_selector
from .options import Options, is_cidr
from .service import HTTP
from .signal import in_cluster

NAMESPACE = "kubernetes.io/metadata.name"
"""A label that the API server itself puts on every namespace."""


def network_policy(name: str, owner: str, labels: Mapping[str, str], options: Options) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": options.namespace, "labels": dict(labels)},
        "spec": {
            "podSelector": {"matchLabels": dict(pod_selector(name))},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": list(_allowed(owner, options)), "ports": [{"port": HTTP, "protocol": "TCP"}]}],
        },
    }


def _allowed(owner: str, options: Options) -> Iterator[Json]:
    no_replica = {"key": COMPONENT, "operator": "NotIn", "values": [REPLICAS]}
    yield {"podSelector": {"matchLabels": dict(owner_labels(owner)), "matchExpressions": [no_replica]}}
    yield {"podSelector": {"matchLabels": dict(controller_selector())}}
    namespaces = {place for place in options.allow_from if not is_cidr(place)}
    if prometheus := in_cluster(options.prometheus):
        namespaces.add(prometheus.namespace)
    for namespace in sorted(namespaces):
        yield {"namespaceSelector": {"matchLabels": {NAMESPACE: namespace}}}
    for cidr in sorted(filter(is_cidr, set(options.allow_from))):
        yield {"ipBlock": {"cidr": cidr}}
