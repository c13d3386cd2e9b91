"""Routes of a real Gateway: what they do to requests, and what their controller says of them."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from finsight_serve.plugin import REFUSED, ApplyError, RouteTable
from finsight_serve.testing import snapshot_when, wait_for
from finsight_serve_k8s_keda.gateway.gateway import GatewayLoadBalancer

from .gateways import Upstream, asking, balancer, gateway_options, table, upstreams

pytestmark = pytest.mark.anyio
MANY = 200


@pytest.fixture
async def make(cluster: Any, namespace: str, tmp_path: Path) -> AsyncIterator[Any]:
    """`make(owner=…, **options)`: the load balancer on the test's own namespace; its routes end with the test."""
    owners = {"tests"}

    def make(owner: str = "tests", **options: Any) -> GatewayLoadBalancer:
        owners.add(owner)
        return balancer(gateway_options(cluster, namespace, **options), tmp_path / "state", owner)

    yield make
    for owner in owners:
        made = make(owner)
        await made.apply(made.compile(RouteTable()))


async def test_an_answer_says_whose_it_is_and_no_replica_is_told_the_tenant(cluster: Any, make: Any) -> None:
    gateway = make()
    async with upstreams(cluster.host_address, "old", "new") as (old, new):
        await gateway.apply(gateway.compile(table({"acme": {"old": 60, "new": 40}, "beta": {"new": 100}}, old, new)))
        async with asking(gateway.url, "acme") as http:
            seen = Counter([(await http.post("/v1/x")).headers["x-finsight-deployment"] for _ in range(60)])
        async with asking(gateway.url, "beta") as http:
            assert (await http.post("/v1/x")).headers["x-finsight-deployment"] == "new"
        async with asking(gateway.url, "nobody") as http:
            assert (await http.post("/v1/x")).status_code == 404
        assert seen == {"old": len(old.heads), "new": len(new.heads) - 1}
        assert "x-finsight-tenant" not in "".join(old.heads + new.heads).lower()


async def test_a_move_under_load_fails_and_cuts_nothing(cluster: Any, make: Any) -> None:
    """1/10/50/100 and back, while streams run that last longer than each step."""
    gateway, stop = make(), anyio.Event()
    outcomes: Counter[str] = Counter()
    async with upstreams(cluster.host_address, "old", "new") as (old, new):

        def moved(percent: int) -> RouteTable:
            return table({"acme": {"old": 100 - percent, "new": percent}}, old, new)

        async def keep_streaming() -> None:
            async with asking(gateway.url, "acme") as http:
                while not stop.is_set():
                    outcomes[await _outcome(http, 25)] += 1

        await gateway.apply(gateway.compile(moved(0)))
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(keep_streaming)
            for percent in (1, 10, 50, 100, 50, 0):
                await gateway.apply(gateway.compile(moved(percent)))
            await gateway.apply(gateway.compile(table({"acme": {"old": 100}}, old)))
            stop.set()
    assert set(outcomes) == {"complete"}
    assert new.heads, "nothing was moved at all"


async def test_a_stream_may_be_longer_than_envoys_own_patience(cluster: Any, make: Any) -> None:
    """15 s, where a route does not say otherwise."""
    gateway = make()
    async with upstreams(cluster.host_address, "old") as (old,):
        await gateway.apply(gateway.compile(table({"acme": {"old": 100}}, old)))
        async with asking(gateway.url, "acme") as http:
            assert await _outcome(http, 170) == "complete"


async def test_what_is_in_force_is_what_was_compiled(cluster: Any, make: Any) -> None:
    gateway = make()
    async with upstreams(cluster.host_address, "old", "new") as (old, new):
        plan = gateway.compile(table({"acme": {"old": 50, "new": 20, REFUSED: 30}}, old, new))
        await gateway.apply(plan)
        seen = await snapshot_when(gateway, lambda seen: bool(seen.in_force), 20)
        assert {one.name: one.body for one in seen.in_force} == {one.name: one.body for one in plan.artefacts}
        await gateway.apply(gateway.compile(RouteTable()))
        await snapshot_when(gateway, lambda seen: seen.in_force == (), 20)


async def test_another_stacks_routes_are_left_alone(cluster: Any, make: Any) -> None:
    ours, theirs = make(), make(owner="others")
    async with upstreams(cluster.host_address, "old", "new") as (old, new):
        await theirs.apply(theirs.compile(table({"beta": {"new": 100}}, new)))
        await ours.apply(ours.compile(table({"acme": {"old": 100}}, old)))
        with pytest.raises(ApplyError, match="another stack's"):
            await ours.apply(ours.compile(table({"beta": {"old": 100}}, old)))
        await ours.apply(ours.compile(RouteTable()))
        async with asking(theirs.url, "beta") as http:
            assert (await http.post("/v1/x")).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"gateway": "projectcontour/absent"}, "there is no Gateway absent in namespace projectcontour"),
        ({"listener": "absent"}, "has no listener named absent"),
        ({"context": "absent"}, "absent"),
        ({"namespace": "absent"}, "no namespace absent"),
    ],
)
async def test_a_refusal_is_said_in_one_line(cluster: Any, make: Any, wrong: dict[str, str], why: str) -> None:
    gateway = make(**wrong)
    wanted = table({"acme": {"old": 100}}, Upstream("old", f"{cluster.host_address}:1"))
    with pytest.raises(ApplyError, match=why) as caught:
        await gateway.apply(gateway.compile(wanted))
    assert "\n" not in str(caught.value)


async def test_a_service_that_is_not_there_is_named(cluster: Any, make: Any, namespace: str) -> None:
    """As while a deployment of this very namespace is being removed by somebody."""
    gateway = make()
    ref = f"k8s://{gateway._cluster}/{namespace}/absent:8000"
    with pytest.raises(ApplyError, match="names a Service that is not there"):
        await gateway.apply(gateway.compile(table({"acme": {"old": 100}}, refs={"old": ref})))


async def test_a_deployment_of_this_namespace_is_routed_to_by_its_service(
    cluster: Any, make: Any, namespace: str
) -> None:
    """Another stack's listed replicas stand for it: to the Gateway, a Service is a Service."""
    service, gateway = make(owner="others"), make()
    async with upstreams(cluster.host_address, "own") as (own,):
        await service.apply(service.compile(table({"beta": {"own": 100}}, own)))
        ref = f"k8s://{gateway._cluster}/{namespace}/own-replicas:80"
        plan = gateway.compile(table({"acme": {"chat": 100}}, replace(own, deployment="chat"), refs={"chat": ref}))
        assert [one.name for one in plan.artefacts] == ["HTTPRoute/tenant-acme"]
        await gateway.apply(plan)
        async with asking(gateway.url, "acme") as http:
            assert (await http.post("/v1/x")).headers["x-finsight-deployment"] == "chat"


@pytest.mark.parametrize("hostname", [None, "{tenant}.llm.example.com"])
async def test_ingresses_are_taken_by_the_api_server(
    cluster: Any, make: Any, namespace: str, hostname: str | None
) -> None:
    """Its own validation; no controller that knows canary annotations runs here."""
    gateway = make(form="ingress", ingress_class="nobody", **({"hostname": hostname} if hostname else {}))
    ready = [Upstream("old", f"{cluster.host_address}:1"), Upstream("new", f"{cluster.host_address}:2")]
    plan = gateway.compile(table({"acme": {"old": 70, "new": 30}, "beta": {"new": 100}}, *ready))
    assert any(one.name.endswith("-canary") for one in plan.artefacts)
    await gateway.apply(plan)
    seen = await snapshot_when(gateway, lambda seen: len(seen.in_force or ()) == len(plan.artefacts), 20)
    assert {one.name: one.body for one in seen.in_force} == {one.name: one.body for one in plan.artefacts}
    routes = make()
    await routes.apply(routes.compile(RouteTable()))
    left = partial(cluster.kubectl, "get", "ingresses,services,endpointslices", "-n", namespace, "-o", "name")
    assert not left().strip()


async def test_who_changes_one_tenant_touches_one_route(cluster: Any, make: Any, namespace: str) -> None:
    gateway = make(propagation_s=0)
    ready = [Upstream("old", f"{cluster.host_address}:1"), Upstream("new", f"{cluster.host_address}:2")]
    shares = {f"t{number}": {"old": 90, "new": 10} for number in range(MANY)}
    began_s = time.monotonic()
    await gateway.apply(gateway.compile(table(shares, *ready)))
    took_s = time.monotonic() - began_s
    before = _versions(cluster, namespace)
    shares["t7"] = {"old": 10, "new": 90}
    began_s = time.monotonic()
    await gateway.apply(gateway.compile(table(shares, *ready)))
    again_s = time.monotonic() - began_s
    print(f"{MANY} tenants rendered, applied and accepted in {took_s:.1f} s; one changed in {again_s:.1f} s")
    after = _versions(cluster, namespace)
    assert {name for name in after if after[name] != before[name]} == {"tenant-t7"}
    await gateway.apply(gateway.compile(RouteTable()))
    await wait_for(partial(_is_empty, cluster, namespace), 60, "the end of all routes")


def _versions(cluster: Any, namespace: str) -> dict[str, str]:
    """Each route's generation, which its own status does not change."""
    template = "jsonpath={range .items[*]}{.metadata.name} {.metadata.generation}{'\\n'}{end}"
    lines = cluster.kubectl("get", "httproutes", "-n", namespace, "-o", template).splitlines()
    return dict(line.split() for line in lines)


async def _is_empty(cluster: Any, namespace: str) -> bool:
    return not _versions(cluster, namespace)


async def _outcome(http: Any, events: int) -> str:
    """How a stream of so many events ended."""
    try:
        async with http.stream("POST", f"/v1/stream/{events}") as answer:
            lines = [line async for line in answer.aiter_lines() if line]
    except Exception as error:
        return f"broken off: {type(error).__name__}"
    if answer.status_code != 200:
        return f"failed: {answer.status_code}"
    return "complete" if lines[-1] == "data: [DONE]" and len(lines) == events + 1 else f"{len(lines)} events"
