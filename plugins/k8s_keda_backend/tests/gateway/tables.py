"""Route tables and options for the gateway's tests."""

from collections.abc import Mapping
from typing import Any

from finsight_serve.plugin import Replica, Route, RouteTable
from finsight_serve_k8s_keda.gateway.options import Options

LABELS = {"app.kubernetes.io/managed-by": "finsight-serve"}


def options(**given: Any) -> Options:
    return Options.model_validate({"gateway": "infra/public", "namespace": "llm", **given})


def route(tenant: str, weights: Mapping[str, int]) -> Route:
    return Route(tenant, (), weights)


def table(
    *routes: Route, replicas: Mapping[str, str] | None = None, refs: Mapping[str, str] | None = None
) -> RouteTable:
    """`replicas`: address → deployment."""
    ready = tuple(Replica(address, deployment, address, "ready") for address, deployment in (replicas or {}).items())
    return RouteTable(routes, ready, refs=refs or {})
