"""A load balancer without API keys behind one that has them, as one load balancer to everything else.

client → edge (keys, limits, ledger) → inner (the deployment by tenant, the replica) → replica
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import anyio

from ..domain import Alert, Dashboard, ScrapeJob
from ..domain.routing import WHOLE, overlay
from ..plugin import (
    REFUSED,
    Actuator,
    ApplyError,
    Artefact,
    Feature,
    Limits,
    LoadBalancer,
    Observed,
    Plan,
    Problem,
    Replica,
    Request,
    Route,
    RouteTable,
)

EDGE, ROUTES = "edge/", "routes/"
"""What artefacts of each half are named with."""
EITHER = "+"
"""Between the names of deployments where only the inner load balancer knows which of them it is; no name has one."""
PATIENCE_S = 10.0
"""How long the edge waits for the inner load balancer, whose API may hang, before it is changed alone."""
BY_BOTH = (Feature.APPLY, Feature.STICKY, Feature.SPARES)
"""What neither half can do for the other."""


def lacks_together(edge: Mapping[Feature, str], inner: Mapping[Feature, str]) -> Mapping[Feature, str]:
    return {**{feature: inner[feature] for feature in BY_BOTH if feature in inner}, **edge}


class Fronted:
    """Clients, the ledger and open streams are the edge's; weights and stickiness are the inner one's."""

    def __init__(self, edge: LoadBalancer, inner: LoadBalancer) -> None:
        self.edge, self.inner = edge, inner
        self.name = f"{edge.name} before {inner.name}"
        self.Options = inner.Options
        self.lacks = lacks_together(edge.lacks, inner.lacks)
        self.url = edge.url
        self.on_this_machine = edge.on_this_machine or inner.on_this_machine

    def check(self) -> Sequence[Problem]:
        return (*self.edge.check(), *self.inner.check())

    @property
    def alerts(self) -> Sequence[Alert]:
        return tuple(alert for half in (self.edge, self.inner) for alert in getattr(half, "alerts", ()))

    @property
    def dashboards(self) -> Sequence[Dashboard]:
        return tuple(one for half in (self.edge, self.inner) for one in getattr(half, "dashboards", ()))

    def scrape_jobs(self) -> Sequence[ScrapeJob]:
        return tuple(job for half in (self.edge, self.inner) for job in getattr(half, "scrape_jobs", tuple)())

    def compile(self, want: RouteTable) -> Plan:
        """Raises `ValueError` where the edge could not reach the inner load balancer by any address."""
        edge = self.edge.compile(edge_table(want, address_of(self.inner.url)) if want.routes else want)
        inner = self.inner.compile(inner_table(want))
        artefacts = (*_marked(EDGE, edge.artefacts), *_marked(ROUTES, inner.artefacts))
        return Plan(artefacts, {**inner.fidelity, **edge.fidelity})

    async def apply(self, plan: Plan) -> None:
        """The inner one first: the edge then sends nobody where no way leads yet. Told to end, the other way round.

        An inner one that fails or hangs does not keep the edge from what it was told, a revoked key say.
        """
        edge, inner = (Plan(_unmarked(mark, plan.artefacts)) for mark in (EDGE, ROUTES))
        if not edge.artefacts:
            await self.edge.apply(edge)
            await self.inner.apply(inner)
            return
        address = self.inner.url
        failed = await self._apply_both(edge, inner)
        if failed is not None:
            raise failed
        if self.inner.url != address:
            raise ApplyError(f"{self.inner.name} has another address since: the edge is told of it at the next try")

    async def _apply_both(self, edge: Plan, inner: Plan) -> ApplyError | None:
        failures: list[ApplyError] = []
        done = anyio.Event()

        async def first() -> None:
            try:
                await self.inner.apply(inner)
            except ApplyError as error:
                failures.append(error)
            done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            with anyio.move_on_after(PATIENCE_S):
                await done.wait()
            try:
                await self.edge.apply(edge)
            except ApplyError as error:
                failures.append(error)
        return failures[-1] if failures else None

    async def observe(self) -> AsyncIterator[Observed]:
        """Each half is followed by a task of its own from beginning to end, as a generator may hold scopes open."""
        news: asyncio.Queue[tuple[Actuator[Any], Observed | Exception]] = asyncio.Queue()
        followers = [asyncio.create_task(_follow(half, news)) for half in (self.edge, self.inner)]
        seen: dict[Actuator[Any], Observed] = {}
        try:
            while True:
                half, found = await news.get()
                if isinstance(found, Exception):
                    raise found
                seen[half] = found
                if self.edge in seen and self.inner in seen:
                    yield together(seen[self.edge], seen[self.inner])
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    def requests(self, after: str) -> AsyncIterator[Request]:
        return self.edge.requests(after)


def edge_table(table: RouteTable, address: str) -> RouteTable:
    """To the edge, every deployment is the inner load balancer; what is to be refused, it refuses itself."""
    routes = tuple(replace(route, weights=_edge_weights(route)) for route in table.routes)
    places = sorted({place for route in routes for place in route.weights} - {REFUSED}) if address else []
    if not address:
        routes = tuple(replace(route, weights={}) for route in routes)
    # which deployment it will be may change under way: any of them accepts its own key among all
    keys = ",".join(dict.fromkeys(table.upstream_keys.values()))
    return replace(
        table,
        routes=routes,
        replicas=tuple(Replica(f"{place}@{address}", place, address, "ready") for place in places),
        upstream_keys=dict.fromkeys([*table.upstream_keys, *places], keys) if keys else {},
        refs={},
        spares={},
        fronts=True,
        max_ongoing_requests=_bounds(places, table.max_ongoing_requests),
    )


def _bounds(places: Iterable[str], bounds: Mapping[str, int]) -> Mapping[str, int]:
    """Where it may be any of several deployments, there is as much room as all of them have together."""
    members = {place: place.split(EITHER) for place in places}
    bounded = {place: names for place, names in members.items() if all(name in bounds for name in names)}
    return {place: sum(bounds[name] for name in names) for place, names in bounded.items()}


def _edge_weights(route: Route) -> Mapping[str, int]:
    shares = {name: percent for name, percent in route.weights.items() if name != REFUSED and percent}
    if not shares:
        return {}
    through = sum(shares.values())
    weights = {EITHER.join(sorted(shares)): through}
    return weights if through == WHOLE else {**weights, REFUSED: WHOLE - through}


def inner_table(table: RouteTable) -> RouteTable:
    """Without what is the edge's: keys, limits, copies, refused shares, bounds; and without spares."""
    routes = tuple(map(_inner_route, table.routes))
    return replace(table, routes=routes, upstream_keys={}, shadow_socket="", spares={}, max_ongoing_requests={})


def _inner_route(route: Route) -> Route:
    takes = {name: WHOLE for name in route.weights if name != REFUSED}
    return Route(route.tenant, (), overlay(route.weights, takes, ()), Limits(), assigned=route.assigned)


def address_of(url: str) -> str:
    """host:port; "" as long as there is no URL. Raises `ValueError` for one that isn't plain HTTP."""
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"the edge reaches load balancers by plain HTTP only, and this one is at {url}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or 80}"


def together(edge: Observed, inner: Observed) -> Observed:
    """Streams of which it isn't known whose they are count for each deployment that they may be at."""
    in_force = None
    if edge.in_force is not None and inner.in_force is not None:
        in_force = (*_marked(EDGE, edge.in_force), *_marked(ROUTES, inner.in_force))
    open_streams = None
    if edge.open_streams is not None:
        open_streams = dict[tuple[str, str], int]()
        for (tenant, place), count in edge.open_streams.items():
            for name in place.split(EITHER):
                open_streams[tenant, name] = open_streams.get((tenant, name), 0) + count
    return Observed(
        (),
        in_force,
        inner.refs,
        {**inner.notes, **edge.notes},
        open_streams,
        certificate_ends_s=edge.certificate_ends_s,
    )


def _marked(mark: str, artefacts: Sequence[Artefact]) -> tuple[Artefact, ...]:
    return tuple(replace(artefact, name=mark + artefact.name) for artefact in artefacts)


def _unmarked(mark: str, artefacts: Sequence[Artefact]) -> tuple[Artefact, ...]:
    return tuple(replace(one, name=one.name.removeprefix(mark)) for one in artefacts if one.name.startswith(mark))


async def _follow(half: Actuator[Any], news: asyncio.Queue[tuple[Actuator[Any], Observed | Exception]]) -> None:
    try:
        async with aclosing(half.observe()) as snapshots:  # type: ignore[type-var]
            async for seen in snapshots:
                news.put_nowait((half, seen))
        raise RuntimeError("its observation ended")
    except Exception as error:
        news.put_nowait((half, error))
