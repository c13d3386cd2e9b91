"""The load balancer as the core sees it: check, compile, apply, observe."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import anyio
from pydantic import BaseModel

from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, Artefact, Feature, Observed, Plan, Problem, Request, RouteTable

from ..cluster_id import cluster_id
from ..convergence import converge
from ..kinds import ENDPOINT_SLICE, HTTP_ROUTE, INGRESS, NETWORK_POLICY, SERVICE, Json, Kind, artefact_name
from ..kube_api import KubeApi, connect
from ..names import ROUTES, component_labels, owner_selector
from ..ownership import owned
from ..watching import Watched, watching
from .acceptance import find_gateway, wait_until_accepted
from .addresses import gateway_address, ingress_address
from .ingress import ingresses
from .network_policy import network_policies
from .options import Options as GatewayOptions
from .places import at_gateway, connect_places
from .routes import http_routes
from .services import backends, services

TRIALS = 64
"""Of each kind, before the first write: tenants' routes are alike, and each stands by itself."""
MEND_GATEWAY = "set `gateway` to its namespace/name (`kubectl get gateways -A` lists them)"


class GatewayLoadBalancer:
    name: ClassVar[str] = "gateway"
    Options: ClassVar[type[BaseModel]] = GatewayOptions
    lacks: ClassVar[Mapping[Feature, str]] = {
        Feature.KEYS: "a Gateway's routes know no API keys, so whoever reaches it can call itself any tenant",
        Feature.LIMITS: "the Gateway API has no limits for each tenant",
        Feature.STICKY: "a route's weights decide anew for each request",
        Feature.LEDGER: "each Gateway's controller logs in a way of its own",
        Feature.OPEN_STREAMS: "a Gateway does not tell how many streams it holds",
        Feature.SPARES: "a route's weights know no backend that is asked only where another failed",
        Feature.SHEDDING: "the Gateway API has no bound on the requests that a Service has in work",
        Feature.SHADOW: "a Gateway copies requests to Services only, not to a socket of this machine",
    }
    on_this_machine = False

    def __init__(self, options: GatewayOptions, env: Env) -> None:
        self._options, self._env = options, env
        self._cluster = cluster_id(options)
        self.url = f"http://{options.address}" if options.address else ""  # else known once it was applied

    def check(self) -> Sequence[Problem]:
        if self._options.form == "routes" and self._options.gateway is None:
            return (Problem("load balancer gateway does not say which Gateway it is", MEND_GATEWAY, "gateway"),)
        try:
            anyio.run(self._check)
        except ApplyError as error:
            return (Problem(f"load balancer gateway: {error}", "mend that, and start again"),)
        return ()

    def compile(self, want: RouteTable) -> Plan:
        """Raises `ApplyError` for a table that can't be said to a cluster."""
        return Plan(_artefacts(self._bodies(want)))

    async def apply(self, plan: Plan) -> None:
        options, owner = self._options, self._env.owner
        bodies = [artefact.body for artefact in plan.artefacts]
        async with connect_places(options) as api:
            if bodies:
                await _look_around(api, options)
            outcome = await converge(api, bodies, await _kinds(api, options), owner, ROUTES, trials=TRIALS)
            routes = {body["metadata"]["name"] for body in bodies if body["kind"] == HTTP_ROUTE.kind}
            await wait_until_accepted(api, routes, owner, options)
            if bodies:
                self.url = await _find_url(api, bodies, options)
        if outcome.applied or outcome.removed:
            await self._env.clock.sleep(options.propagation_s)

    async def observe(self) -> AsyncIterator[Observed]:
        selector = owner_selector(self._env.owner, ROUTES)
        async with connect_places(self._options) as api:
            kinds = await _kinds(api, self._options)
            watched = [Watched(kind, selector, owned) for kind in kinds]
            async with watching(api, watched, self._env.clock) as live:
                async for _ in live.changes():
                    bodies = [body for kind in kinds for body in live.kept(kind).values()]
                    yield Observed(in_force=_artefacts(bodies))

    async def requests(self, after: str) -> AsyncIterator[Request]:
        """None for ever: the edge in front has the ledger."""
        await anyio.sleep_forever()
        yield  # type: ignore[misc]  # makes it the generator that the contract asks for

    async def _check(self) -> None:
        async with connect_places(self._options) as api:
            await _look_around(api, self._options)

    def _bodies(self, want: RouteTable) -> Iterator[Json]:
        if not want.routes:
            return
        options, labels = self._options, component_labels(self._env.owner, ROUTES)
        if options.form == "routes" and options.gateway is None:
            raise ApplyError(f"load balancer gateway does not say which Gateway it is: {MEND_GATEWAY}")
        found = backends(want, self._cluster, self._env.owner, options)
        yield from network_policies(labels, options)
        yield from services(want, found, labels, options)
        yield from (http_routes if options.form == "routes" else ingresses)(want, found, labels, options)


def _artefacts(bodies: Iterable[Json]) -> tuple[Artefact, ...]:
    return tuple(Artefact(artefact_name(body), body) for body in bodies)


async def _kinds(api: KubeApi, options: GatewayOptions) -> tuple[Kind, ...]:
    """Those of the other form too: what it left behind is removed."""
    policies = (NETWORK_POLICY,) if options.proxy_selector else ()
    routes = (HTTP_ROUTE,) if options.form == "routes" or await api.serves(HTTP_ROUTE) else ()
    return (*policies, SERVICE, ENDPOINT_SLICE, *routes, INGRESS)


async def _look_around(api: KubeApi, options: GatewayOptions) -> None:
    """Whether routes can be taken up at all. Raises `ApplyError`."""
    if options.form == "ingress":
        await api.list(INGRESS, owner_selector("nobody"))
        return
    if not await api.serves(HTTP_ROUTE):
        raise ApplyError(
            f"the cluster does not know HTTPRoute ({HTTP_ROUTE.api_version}): install {HTTP_ROUTE.install}"
        )
    async with connect(at_gateway(options)) as gateways:
        await find_gateway(gateways, options)


async def _find_url(api: KubeApi, bodies: Sequence[Json], options: GatewayOptions) -> str:
    """ "" where neither the file nor the cluster says it (yet)."""
    address = options.address or ""
    if not address and options.form == "routes":
        async with connect(at_gateway(options)) as gateways:
            gateway = await find_gateway(gateways, options)
            address = gateway_address(gateway, options.listener) if gateway else ""
    elif not address:
        names = [body["metadata"]["name"] for body in bodies if body["kind"] == INGRESS.kind]
        ingress = await api.get(INGRESS, names[0])
        address = ingress_address(ingress) if ingress else ""
    return f"http://{address}" if address else ""
