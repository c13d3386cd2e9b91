"""Route table → HTTPRoutes, one per tenant. Pure.

Defaults are spelled out: in lists the API server tells its own from ours no more, and they would look like drift.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from finsight_serve.plugin import DEPLOYMENT_HEADER, REFUSED, TENANT_HEADER, Route, RouteTable

from ..kinds import GATEWAY, HTTP_ROUTE, SERVICE, Json
from .options import TENANT, Options
from .services import Backend, Backends, shares

RETRY_AFTER_S = 2


def http_routes(table: RouteTable, found: Backends, labels: Mapping[str, str], options: Options) -> Iterator[Json]:
    """In the table's order, a route's backends in the order of its weights."""
    for route in table.routes:
        yield {
            "apiVersion": HTTP_ROUTE.api_version,
            "kind": HTTP_ROUTE.kind,
            "metadata": {
                "name": route_name(route.tenant),
                "namespace": options.namespace,
                "labels": dict(labels),
            },
            "spec": _spec(route, found, options),
        }


def route_name(tenant: str) -> str:
    return f"tenant-{tenant}"


def parent_ref(options: Options) -> Json:
    listener = {"sectionName": options.listener} if options.listener else {}
    place = {"name": options.gateway_name, "namespace": options.gateway_namespace, **listener}
    return {"group": GATEWAY.group, "kind": GATEWAY.kind, **place}


def _spec(route: Route, found: Backends, options: Options) -> Json:
    match: Json = {"path": {"type": "PathPrefix", "value": "/"}}
    rule: Json = {"matches": [match]}
    spec: Json = {"parentRefs": [parent_ref(options)]}
    if options.hostname:
        spec["hostnames"] = [options.hostname.replace(TENANT, route.tenant)]
    else:
        match["headers"] = [{"name": TENANT_HEADER, "type": "Exact", "value": route.tenant}]
    rule["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [TENANT_HEADER]}}]
    rule["timeouts"] = {"request": "0s"}  # an answer may take as long as it takes
    rule["backendRefs"] = [_backend_ref(name, found[name], share) for name, share in shares(route).items()]
    return {**spec, "rules": [rule]}


def _backend_ref(deployment: str, backend: Backend, share: int) -> Json:
    header: dict[str, Any] = {"name": DEPLOYMENT_HEADER, "value": deployment}
    if deployment == REFUSED:
        header = {"name": "retry-after", "value": str(RETRY_AFTER_S)}
    answer = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}
    service = {"group": SERVICE.group, "kind": SERVICE.kind, "name": backend.service, "port": backend.port}
    return {**service, "weight": share, "filters": [answer]}
