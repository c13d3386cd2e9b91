"""Route table → Ingresses with ingress-nginx's canary annotations, for clusters without the Gateway API. Pure.

For one rule, which is a hostname, there may be one canary beside the primary. A canary takes a percentage of the rule's
requests, and before that all those whose header matches a pattern.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from finsight_serve.plugin import REFUSED, TENANT_HEADER, ApplyError, Route, RouteTable

from ..kinds import INGRESS, Json
from .options import TENANT, Options
from .routes import route_name
from .services import Backend, Backends, shares

ANNOTATION = "nginx.ingress.kubernetes.io"
LONGEST_SILENCE_S = 3600
SHARED = "tenants"
"""The Ingress where one hostname serves all tenants."""


@dataclass(frozen=True)
class Split:
    """All that one rule can say. Deployments, or `REFUSED`."""

    primary: str
    canary: str | None = None
    canary_percent: int = 0
    canary_tenants: tuple[str, ...] = ()  # who is sent there entirely


def ingresses(table: RouteTable, found: Backends, labels: Mapping[str, str], options: Options) -> Iterator[Json]:
    """Raises `ApplyError` for a table that Ingresses can't say."""
    if options.hostname:
        for route in table.routes:
            host = options.hostname.replace(TENANT, route.tenant)
            yield from _rule(route_name(route.tenant), host, split([route]), found, labels, options)
    elif table.routes:
        yield from _rule(SHARED, None, split(table.routes), found, labels, options)


def split(routes: Sequence[Route]) -> Split:
    """Raises `ApplyError` for routes that one rule can't hold."""
    named = dict.fromkeys(name for route in routes for name in shares(route))
    used = sorted(named, key=lambda name: name == REFUSED)
    if len(used) == 1:
        return Split(used[0])
    if len(used) == 2:
        for primary, canary in permutations(used):
            if one := _split_between(primary, canary, routes):
                return one
    raise ApplyError(_why_not(used, routes))


def _split_between(primary: str, canary: str, routes: Sequence[Route]) -> Split | None:
    canary_shares = {route.tenant: shares(route).get(canary, 0) for route in routes}
    moved = tuple(sorted(tenant for tenant, share in canary_shares.items() if share == 100))
    rest = {share for share in canary_shares.values() if share != 100}
    return Split(primary, canary, rest.pop(), moved) if len(rest) == 1 else None


def _why_not(used: Sequence[str], routes: Sequence[Route]) -> str:
    named = ", ".join(name or "a refused share" for name in used)
    whose = f"tenant {routes[0].tenant}" if len(routes) == 1 else "tenants"
    if len(used) > 2:
        return f"{whose} are split over {named}, and an Ingress has one canary beside its primary: use `form: routes`"
    return (
        f"tenants have different shares of {named}, and an Ingress's canary has one percentage for all of them: use "
        "`form: routes`, or a `hostname` for each tenant"
    )


def _rule(
    name: str, host: str | None, wanted: Split, found: Backends, labels: Mapping[str, str], options: Options
) -> Iterator[Json]:
    yield _ingress(name, host, found[wanted.primary], {}, labels, options)
    if wanted.canary is None:
        return
    marks = {"canary": "true", "canary-weight": str(wanted.canary_percent)}
    if wanted.canary_tenants:
        marks["canary-by-header"] = TENANT_HEADER
        marks["canary-by-header-pattern"] = f"^({'|'.join(wanted.canary_tenants)})$"
    yield _ingress(f"{name}-canary", host, found[wanted.canary], marks, labels, options)


def _ingress(
    name: str,
    host: str | None,
    backend: Backend,
    marks: Mapping[str, str],
    labels: Mapping[str, str],
    options: Options,
) -> Json:
    timeouts = dict.fromkeys(("proxy-read-timeout", "proxy-send-timeout"), str(LONGEST_SILENCE_S))
    service = {"name": backend.service, "port": {"number": backend.port}}
    rule: Json = {"host": host} if host else {}
    rule["http"] = {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": service}}]}
    return {
        "apiVersion": INGRESS.api_version,
        "kind": INGRESS.kind,
        "metadata": {
            "name": name,
            "namespace": options.namespace,
            "labels": dict(labels),
            "annotations": {f"{ANNOTATION}/{key}": value for key, value in {**timeouts, **marks}.items()},
        },
        "spec": {**({"ingressClassName": options.ingress_class} if options.ingress_class else {}), "rules": [rule]},
    }
