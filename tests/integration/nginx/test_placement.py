"""Where a request goes: by weight, sessions staying where they are, a refused share turned away."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from finsight_serve.plugin import REFUSED

from .edge import Edge, route
from .upstream import says

pytestmark = pytest.mark.anyio

SESSIONS = 300


async def places(edge: Edge, header: str = "X-Session-Id") -> list[str]:
    """What answers each session; "" for a refusal."""
    async with edge.http() as http:
        answers = [await http.get("/v1/models", headers={header: f"s{n}"}) for n in range(SESSIONS)]
    assert {answer.status_code for answer in answers} <= {200, 503}
    return [answer.json() if answer.status_code == 200 else REFUSED for answer in answers]


async def shift(edge: Edge, *steps: Mapping[str, int]) -> list[list[str]]:
    upstreams = {name: [await edge.upstream(says(200, name))] for name in {*steps[0]} - {REFUSED}}
    seen = []
    for weights in steps:
        await edge.apply(route(weights=dict(weights)), **upstreams)
        seen.append(await places(edge))
        assert seen[-1] == await places(edge), "a session stays where it is"
        counts = Counter(seen[-1])
        for name, percent in weights.items():
            assert abs(counts[name] - percent / 100 * SESSIONS) < 30
    return seen


def moves(before: list[str], after: list[str]) -> set[tuple[str, str]]:
    return {(one, other) for one, other in zip(before, after, strict=True) if one != other}


@pytest.mark.parametrize("order", [("chat", "ray"), ("ray", "chat")])
async def test_a_growing_share_moves_no_session_back(edge: Edge, order: tuple[str, str]) -> None:
    steps = [{"chat": 100 - share, "ray": share} for share in (0, 10, 50, 100)]
    seen = await shift(edge, *({name: step[name] for name in order} for step in steps))
    for before, after in pairwise(seen):
        assert moves(before, after) == {("chat", "ray")}


async def test_among_three_only_the_sessions_of_the_shrinking_one_move(edge: Edge) -> None:
    """The destination stands right beside where it takes from; the names' own order is another."""
    seen = await shift(edge, *({"z": 50 - share, "m": share, "a": 50} for share in (0, 5, 25, 50)))
    for before, after in pairwise(seen):
        assert moves(before, after) == {("z", "m")}


async def test_a_refused_share_is_503_and_in_the_ledger(edge: Edge) -> None:
    seen = await shift(edge, {"chat": 70, REFUSED: 30})
    refused = seen[0].count(REFUSED)
    rows = [row for row in await edge.rows(2 * SESSIONS) if row.deployment == ""]
    assert len(rows) == 2 * refused
    assert {(row.tenant, row.status, row.outcome, row.replica) for row in rows} == {("desk", 503, "failed", "")}
    async with edge.http() as http:
        turned_away = seen[0].index(REFUSED)
        answer = await http.get("/v1/models", headers={"X-Session-Id": f"s{turned_away}"})
    assert (answer.headers["retry-after"], answer.json()["error"]["code"]) == ("2", "service_unavailable")


async def test_a_refused_share_takes_nothing_of_the_limits(edge: Edge) -> None:
    await edge.upstream(says(200, 1))
    await edge.apply(route(weights={REFUSED: 100}, requests_per_s=0.01, limit=1))
    assert [(await edge.get()).status_code for _ in range(3)] == [503] * 3
    await edge.apply(route(requests_per_s=0.01, limit=1))
    assert (await edge.get()).status_code == 200


async def test_without_a_session_a_request_is_placed_by_itself(edge: Edge) -> None:
    upstreams = {name: [await edge.upstream(says(200, name))] for name in ("chat", "ray")}
    await edge.apply(route(weights={"chat": 50, "ray": 50}), **upstreams)
    async with edge.http() as http:
        assert {(await http.get("/v1/models")).json() for _ in range(30)} == {"chat", "ray"}


async def test_another_session_header(state_dir: Path) -> None:
    edge = Edge(state_dir, session_header="X-Conversation")
    try:
        upstreams = {name: [await edge.upstream(says(200, name))] for name in ("chat", "ray")}
        await edge.apply(route(weights={"chat": 50, "ray": 50}), **upstreams)
        assert await places(edge, "x-conversation") == await places(edge, "x-conversation")
        assert await places(edge) != await places(edge)
        seen = [request.headers for upstream in edge.upstreams for request in upstream.seen]
        assert {headers.get("x-conversation", "") for headers in seen} == {f"s{n}" for n in range(SESSIONS)} | {""}
        assert not any("x-session-id" in headers for headers in seen)
    finally:
        await edge.close()
