"""What Prometheus is told: requests under way, and those turned away for want of a replica."""

import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import httpx
import pytest

from finsight_serve.plugin import REFUSED, ApplyError, Replica, Route, RouteTable
from finsight_serve.processes import SystemProcesses
from finsight_serve.testing.real_env import find_free_port
from finsight_serve.testing.waiting import wait_for
from finsight_serve_nginx import family

from .edge import Edge, route
from .upstream import Held, completion, says, stream_head

pytestmark = pytest.mark.anyio

ONGOING, REFUSALS = "finsight_ongoing_requests", "finsight_refused_requests_total"


@pytest.fixture
async def metered(state_dir: Path) -> AsyncIterator[Edge]:
    edge = Edge(state_dir, metrics_listen=f"127.0.0.1:{find_free_port()}")
    yield edge
    await edge.close()


async def scrape(edge: Edge) -> str:
    socket_path = edge.options.metrics_socket
    transport = httpx.AsyncHTTPTransport(uds=str(socket_path)) if socket_path else None
    address = "prometheus" if socket_path else edge.options.metrics_listen
    async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
        answer = await http.get(f"http://{address}/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return answer.text


async def values(edge: Edge, name: str) -> dict[tuple[str, str], float]:
    found = re.findall(rf'^{name}{{tenant="(.*)",deployment="(.*)"}} (\S+)$', await scrape(edge), re.M)
    return {(tenant, deployment): float(value) for tenant, deployment, value in found}


def become(edge: Edge, name: str, expected: dict[tuple[str, str], float]) -> Callable[[], object]:
    async def found() -> bool:
        return await values(edge, name) == expected

    return found


def assigned(tenant: str, weights: dict[str, int], to: dict[str, int]) -> Route:
    made = route(tenant, f"sk-{tenant}", weights)
    return Route(made.tenant, made.key_sha256, made.weights, assigned=to)


async def test_everything_stands_at_zero_before_there_is_anything_to_count(metered: Edge) -> None:
    """Prometheus' increase() misses what a counter is born with."""
    await metered.upstream(says(200, completion()))
    asleep = assigned("asleep", {}, {"pods": 100})
    await metered.apply(assigned("desk", {"chat": 50, REFUSED: 50}, {"chat": 50, "pods": 50}), asleep)
    zeros = {("asleep", "pods"): 0, ("desk", "chat"): 0, ("desk", "pods"): 0}
    assert await values(metered, ONGOING) == await values(metered, REFUSALS) == zeros


async def test_requests_under_way_are_counted_until_they_end(metered: Edge) -> None:
    held = Held()
    await metered.upstream(held)
    await metered.apply()
    async with metered.stream() as first, metered.stream() as second:
        await wait_for(become(metered, ONGOING, {("desk", "chat"): 2}))
        await metered.apply(route(), route("bank", "sk-bank"))  # a reload
        assert await values(metered, ONGOING) == {("desk", "chat"): 2, ("bank", "chat"): 0}
        held.go.set()
        await first.aread()
        await second.aread()
    await wait_for(become(metered, ONGOING, {("desk", "chat"): 0, ("bank", "chat"): 0}))


async def test_who_is_turned_away_counts_for_the_deployment_that_should_have_answered(metered: Edge) -> None:
    await metered.upstream(says(200, completion()))
    asleep = assigned("asleep", {}, {"pods": 100})
    gone = assigned("gone", {"pods": 100}, {"pods": 100})  # its last replica has just left
    await metered.apply(asleep, gone, assigned("desk", {"chat": 100}, {"chat": 100}))
    for key, status, times in (("sk-asleep", 503, 3), ("sk-gone", 503, 2), ("sk-desk", 200, 1), ("nobody", 401, 1)):
        for _ in range(times):
            assert (await metered.get(key=key)).status_code == status
    counted = {("asleep", "pods"): 3, ("gone", "pods"): 2, ("desk", "chat"): 0}
    assert await values(metered, REFUSALS) == counted
    metered.version = 2
    await metered.apply(asleep, gone, assigned("desk", {"chat": 100}, {"chat": 100}))  # a reload
    assert await values(metered, REFUSALS) == counted


async def test_a_split_tenant_is_turned_away_in_proportion(metered: Edge) -> None:
    await metered.apply(assigned("desk", {}, {"chat": 50, "pods": 50}), chat=[])
    for n in range(40):
        await metered.get(key="sk-desk", headers={"x-session-id": str(n)})
    counted = await values(metered, REFUSALS)
    assert sum(counted.values()) == 40 and min(counted.values()) >= 8
    again = await values(metered, REFUSALS)
    for _ in range(5):  # a session is always the same one's
        await metered.get(key="sk-desk", headers={"x-session-id": "7"})
    later = await values(metered, REFUSALS)
    assert sorted(later[place] - again[place] for place in later) == [0, 5]


async def test_prometheus_finds_nothing_to_complain_of(metered: Edge) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing (Debian's prometheus)")
    await metered.upstream(says(200, completion()))
    await metered.apply(route('od"d\\ té\nnant', "sk", {"a/b c": 100}), route())
    text = await scrape(metered)
    assert '{tenant="od\\"d\\\\ té\\nnant",deployment="a/b c"} 0\n' in text
    done = await anyio.run_process([promtool, "check", "metrics"], input=text.encode(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_nothing_else_is_there_and_metrics_are_nowhere_else(metered: Edge) -> None:
    await metered.upstream(says(200, completion()))
    await metered.apply()
    async with httpx.AsyncClient(trust_env=False) as http:
        for path in ("/", "/v1/models", "/open", "/metrics/x"):
            assert (await http.get(f"http://{metered.options.metrics_listen}{path}")).status_code == 404
    assert (await metered.get("/metrics")).status_code == 404


async def test_they_are_off_unless_asked_for(edge: Edge) -> None:
    await edge.upstream(says(200, completion()))
    names = {artefact.name for artefact in edge.plan().artefacts}
    assert "metrics.js" not in names and "inventory.js" not in names
    await edge.apply(route(weights={}))
    assert (await edge.get()).status_code == 503


async def test_a_socket_that_a_killed_nginx_left_is_taken_over(state_dir: Path) -> None:
    path = state_dir / "metrics.sock"
    edge = Edge(state_dir, metrics_listen=f"unix:{path}")
    try:
        await edge.upstream(says(200, completion()))
        await edge.apply()
        assert await values(edge, ONGOING) == {("desk", "chat"): 0}
        members = edge.family().members
        for member in members:
            family.tell(member, family.signal.SIGKILL)
        await wait_for(lambda: not any(SystemProcesses().alive(member) for member in members))
        assert path.is_socket()
        await edge.apply()
        assert await values(edge, ONGOING) == {("desk", "chat"): 0}
    finally:
        await edge.close()


async def test_a_file_in_the_sockets_place_is_left_alone(state_dir: Path) -> None:
    path = state_dir / "precious"
    path.write_text("mine")
    edge = Edge(state_dir, metrics_listen=f"unix:{path}")
    try:
        with pytest.raises(ApplyError, match="precious"):
            await edge.apply(chat=[])
        assert path.read_text() == "mine"
    finally:
        await edge.close()


async def test_a_port_in_use_is_named_with_the_option_that_asks_for_it(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        edge = Edge(state_dir, metrics_listen=f"127.0.0.1:{port}")
        found = [problem for problem in edge.plugin.check() if problem.field == "metrics_listen"]
        assert [problem.message.startswith(f"port {port} in use by ") for problem in found] == [True]
        with pytest.raises(ApplyError, match=rf"port {port} in use by .*: stop it, or choose another `metrics_listen`"):
            await edge.apply(chat=[])
        await edge.close()


async def test_requests_that_another_load_balancer_places_are_counted_where_it_placed_them(metered: Edge) -> None:
    held = Held(head=stream_head("X-Finsight-Deployment: pods"))
    await metered.upstream(held)
    table = RouteTable(
        (route(weights={"chat+pods": 100}),),
        (Replica("r", "chat+pods", metered.upstreams[0].address, "ready"),),
        {"chat+pods": "k1,k2", "pods": "k1,k2"},
        fronts=True,
    )
    await metered.plugin.apply(metered.plugin.compile(table))
    async with metered.stream() as answer:
        await wait_for(become(metered, ONGOING, {("desk", "chat+pods"): 0, ("desk", "pods"): 1}))
        held.go.set()
        await answer.aread()
