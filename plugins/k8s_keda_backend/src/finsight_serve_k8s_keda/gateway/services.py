"""Route table → what routes send to: a deployment's own Service, or one whose endpoints are listed by hand. Pure."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from finsight_serve.plugin import REFUSED, ApplyError, Replica, Route, RouteTable

from ..kinds import ENDPOINT_SLICE, SERVICE, Json, Kind
from ..names import MANAGER, SERVICE_NAME
from .options import Options

MOST_ENDPOINTS = 1000
"""Of one EndpointSlice: more are refused by the API server."""
PORT = 80
PORT_NAME = "http"
SLICE_MANAGER = "endpointslice.kubernetes.io/managed-by"
OF_SERVICE = "kubernetes.io/service-name"
NATIVE = re.compile(r"k8s://(?P<cluster>[0-9a-f]+)/(?P<namespace>[^/]+)/(?P<service>[^/:]+):(?P<port>[0-9]+)")


@dataclass(frozen=True)
class Backend:
    """What a route may send a share to."""

    service: str
    port: int
    is_native: bool = False  # made by who runs the deployment, in this very namespace


Backends = Mapping[str, Backend]


def backends(table: RouteTable, cluster: str, owner: str, options: Options) -> Backends:
    """By deployment, `REFUSED` among them where a share of a route is refused. Raises `ApplyError` for a bad name."""
    found = {name: _backend(name, table, cluster, options) for name in sorted(_deployments(table))}
    if any(REFUSED in shares(route) for route in table.routes):
        found[REFUSED] = Backend(f"refused-{owner}" if owner else "refused", PORT)
    return found


def shares(route: Route) -> Mapping[str, int]:
    """Those that are not nothing; without any, all is refused."""
    return {name: share for name, share in route.weights.items() if share} or {REFUSED: 100}


def services(table: RouteTable, found: Backends, labels: Mapping[str, str], options: Options) -> Iterator[Json]:
    """Services without a selector, and their EndpointSlices: one for each port, since replicas may differ in theirs.

    The one for what is refused has no endpoint: proxies answer 503 for it. Raises `ApplyError` for an address that
    no cluster can reach.
    """
    for deployment, backend in found.items():
        if not backend.is_native:
            yield _service(backend.service, labels, options)
            yield from _slices(deployment, backend.service, table, labels, options)


def _deployments(table: RouteTable) -> set[str]:
    """Those of replicas that no route names (yet) too: a share that grows finds its Service in use by the proxies."""
    named = {name for route in table.routes for name in shares(route)}
    return (named | {replica.deployment for replica in table.replicas}) - {REFUSED}


def _backend(deployment: str, table: RouteTable, cluster: str, options: Options) -> Backend:
    native = NATIVE.fullmatch(table.refs.get(deployment, ""))
    if native and cluster and (native["cluster"], native["namespace"]) == (cluster, options.namespace):
        return Backend(native["service"], int(native["port"]), is_native=True)
    if not SERVICE_NAME.fullmatch(deployment):
        raise ApplyError(
            f"deployment {deployment!r}: a service's name on Kubernetes begins with a letter: give it another one"
        )
    return Backend(f"{deployment}-replicas", PORT)


def _service(name: str, labels: Mapping[str, str], options: Options) -> Json:
    body = _body(SERVICE, name, labels, options)
    if options.service_annotations:
        body["metadata"]["annotations"] = dict(options.service_annotations)
    body["spec"] = {"ports": [{"name": PORT_NAME, "port": PORT, "protocol": "TCP"}]}
    return body


def _slices(
    deployment: str, service: str, table: RouteTable, labels: Mapping[str, str], options: Options
) -> Iterator[Json]:
    groups: dict[tuple[str, int], set[str]] = {}
    for replica in table.replicas:
        if replica.deployment == deployment:
            family, host, port = _endpoint(replica)
            groups.setdefault((family, port), set()).add(host)
    for (family, port), hosts in sorted(groups.items()):
        ordered = sorted(hosts)
        for start in range(0, len(ordered), MOST_ENDPOINTS):
            suffix = ("-v6" if family == "IPv6" else "") + (f"-{start // MOST_ENDPOINTS}" if start else "")
            body = _body(
                ENDPOINT_SLICE,
                f"{service}-{port}{suffix}",
                {**labels, OF_SERVICE: service, SLICE_MANAGER: MANAGER},
                options,
            )
            body["addressType"] = family
            body["endpoints"] = [
                {"addresses": [host], "conditions": {"ready": True}} for host in ordered[start : start + MOST_ENDPOINTS]
            ]
            body["ports"] = [{"name": PORT_NAME, "port": port, "protocol": "TCP"}]
            yield body


def _endpoint(replica: Replica) -> tuple[str, str, int]:
    """Family, address, port."""
    host, _, port = replica.address.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ApplyError(_unreachable(replica, "an EndpointSlice takes IP addresses only")) from None
    if address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast:
        raise ApplyError(_unreachable(replica, "a cluster reaches no such address"))
    return f"IPv{address.version}", str(address), int(port)


def _unreachable(replica: Replica, why: str) -> str:
    return (
        f"replica {replica.id} of {replica.deployment} listens on {replica.address}, and {why}: let its backend have "
        "replicas listen on an address of their machine that the cluster reaches"
    )


def _body(kind: Kind, name: str, labels: Mapping[str, str], options: Options) -> Json:
    metadata: Json = {"name": name, "namespace": options.namespace, "labels": dict(labels)}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
