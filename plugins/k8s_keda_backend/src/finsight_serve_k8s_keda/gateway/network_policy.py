"""The NetworkPolicy that lets the Gateway's own pods be reached by the edge alone. Pure.

A Gateway knows no keys: whoever reaches it can call itself any tenant.
"""

from collections.abc import Iterator, Mapping

from ..kinds import NETWORK_POLICY, Json
from .options import Options

NAMESPACE_NAME = "kubernetes.io/metadata.name"


def network_policies(labels: Mapping[str, str], options: Options) -> Iterator[Json]:
    """One, in the Gateway's namespace, where `proxy_selector` says which pods are the Gateway's."""
    if not options.proxy_selector:
        return
    sources: list[Json] = [{"ipBlock": {"cidr": cidr}} for cidr in options.edge_cidrs]
    if options.edge_selector:
        namespace = {"matchLabels": {NAMESPACE_NAME: options.namespace}}
        sources.append({"namespaceSelector": namespace, "podSelector": {"matchLabels": dict(options.edge_selector)}})
    yield {
        "apiVersion": NETWORK_POLICY.api_version,
        "kind": NETWORK_POLICY.kind,
        "metadata": {
            "name": f"{options.gateway_name}-from-edge",
            "namespace": options.gateway_namespace,
            "labels": dict(labels),
        },
        "spec": {
            "podSelector": {"matchLabels": dict(options.proxy_selector)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": sources}],
        },
    }
