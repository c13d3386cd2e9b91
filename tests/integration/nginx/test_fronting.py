"""nginx before a load balancer that has no keys: it says who asks, and hears who has answered."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from finsight_serve.plugin import Limits, Replica, RouteTable
from finsight_serve.testing.waiting import snapshot_when, wait_for

from .edge import KEY, Edge, route
from .upstream import Held, Seen, Upstream, completion, says, stream_head

pytestmark = pytest.mark.anyio

KEYS = "replica-secret,another-secret"
PLACED = "X-Finsight-Deployment: pods"


@pytest.fixture
async def fronting(edge: Edge) -> AsyncIterator[Edge]:
    """`desk` is at `chat` or `pods`, which only what is behind can tell; `bank` is at `chat`."""
    await edge.upstream(says(200, completion(), PLACED))
    await front(edge)
    yield edge


async def front(edge: Edge, **options: object) -> None:
    places = ("chat+pods", "chat")
    routes = (route(weights={"chat+pods": 100}), route("bank", "sk-bank", {"chat": 100}))
    replicas = tuple(Replica(place, place, edge.upstreams[0].address, "ready") for place in places)
    keys = dict.fromkeys((*places, "pods"), KEYS)
    await edge.plugin.apply(edge.plugin.compile(RouteTable(routes, replicas, keys, 3, fronts=True)))


def inner(edge: Edge) -> Upstream:
    return edge.upstreams[0]


async def test_it_says_whose_the_request_is_whatever_the_client_says(fronting: Edge) -> None:
    mine = {"X-Finsight-Tenant": "bank", "X-Finsight-Deployment": "chat"}
    answer = await fronting.get("/v1/models", headers=mine)
    (seen,) = inner(fronting).seen
    assert seen.headers["x-finsight-tenant"] == "desk" and "x-finsight-deployment" not in seen.headers
    assert seen.headers["authorization"] == f"Bearer {KEYS}"
    assert "x-finsight-deployment" not in answer.headers


async def test_a_replica_too_is_told_whose_the_request_is(edge: Edge) -> None:
    upstream = await edge.upstream(says(200, completion(), PLACED))
    await edge.apply()
    await edge.get(headers={"X-Finsight-Tenant": "bank"})
    assert upstream.seen[0].headers["x-finsight-tenant"] == "desk"
    (row,) = await edge.rows(1)
    assert row.deployment == "chat"  # a replica is not asked where the request went


async def test_the_ledger_has_the_deployment_that_answered(fronting: Edge) -> None:
    await fronting.get()
    await fronting.get(key="sk-bank")
    inner(fronting).answer = says(200, completion())
    await fronting.get()
    inner(fronting).answer = says(200, completion(), "X-Finsight-Deployment: elsewhere")
    await fronting.get()
    rows = await fronting.rows(4)
    assert [row.deployment for row in rows] == ["pods", "pods", "chat+pods", "chat+pods"]
    assert {(row.tenant, row.status, row.route_version, row.outcome) for row in rows} == {
        ("desk", 200, 3, "complete"),
        ("bank", 200, 3, "complete"),
    }


async def test_an_open_stream_is_where_the_answer_comes_from(fronting: Edge) -> None:
    begin, held = asyncio.Event(), Held(head=stream_head(PLACED))

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await begin.wait()
        await held(seen, writer)

    inner(fronting).answer = answer
    asking = asyncio.create_task(fronting.get(key=KEY))
    await snapshot_when(fronting.plugin, lambda seen: seen.open_streams == {("desk", "chat+pods"): 1})
    begin.set()
    await snapshot_when(fronting.plugin, lambda seen: seen.open_streams == {("desk", "pods"): 1})
    held.go.set()
    assert (await asking).status_code == 200
    await snapshot_when(fronting.plugin, lambda seen: seen.open_streams == {})
    (row,) = await fronting.rows(1)
    assert (row.deployment, row.outcome) == ("pods", "complete")


async def test_where_no_way_leads_yet_is_a_503_and_a_replicas_404_its_own(fronting: Edge) -> None:
    inner(fronting).answer = says(404, {})
    answer = await fronting.get()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    inner(fronting).answer = says(404, {"error": "no such model"}, PLACED)
    answer = await fronting.get()
    assert (answer.status_code, answer.json()) == (404, {"error": "no such model"})
    first, second = await fronting.rows(2)
    assert (first.status, first.outcome) == (503, "failed")
    assert (second.status, second.deployment, second.outcome) == (404, "pods", "complete")


async def test_what_fails_before_the_first_byte_is_tried_once_more(fronting: Edge) -> None:
    answers = [says(503, {}), says(200, completion(), PLACED)]

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answers.pop(0)(seen, writer)

    inner(fronting).answer = answer
    assert (await fronting.get()).status_code == 200
    assert len(inner(fronting).seen) == 2
    (row,) = await fronting.rows(1)
    assert (row.deployment, row.outcome) == ("pods", "complete")


async def test_however_often_it_fails_it_is_asked_again_since_it_is_all_there_is(fronting: Edge) -> None:
    inner(fronting).answer = says(503, {}, PLACED)
    for _ in range(10):
        assert (await fronting.get()).status_code == 503
    inner(fronting).answer = says(200, completion(), PLACED)
    assert (await fronting.get()).status_code == 200
    rows = await fronting.rows(11)
    assert {row.deployment for row in rows} == {"pods"}
    assert [row.outcome for row in rows] == ["failed"] * 10 + ["complete"]


async def test_limits_hold_wherever_the_requests_are(fronting: Edge) -> None:
    limited = RouteTable(
        (route(weights={"chat+pods": 100}, limit=1),),
        (Replica("r", "chat+pods", inner(fronting).address, "ready"),),
        {"chat+pods": KEYS, "pods": KEYS},
        fronts=True,
    )
    assert limited.routes[0].limits == Limits(1)
    await fronting.plugin.apply(fronting.plugin.compile(limited))
    held = Held()
    inner(fronting).answer = held
    async with fronting.stream() as first:
        assert first.status_code == 200
        assert (await fronting.get()).status_code == 429
        held.go.set()
        await first.aread()
    await wait_for(lambda: _admitted(fronting))


async def _admitted(edge: Edge) -> bool:
    inner(edge).answer = says(200, completion(), PLACED)
    return (await edge.get()).status_code == 200
