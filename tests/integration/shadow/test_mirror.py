"""nginx copies a tenant's requests to the shadow client; the client and the ledger see nothing of it."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from finsight_serve.domain.shadow import ShadowReport
from finsight_serve.plugin import RouteTable

from ..engines.server import KEY, Server
from ..nginx.edge import Edge, route
from .conftest import MODEL, Shadow, set_faults, target

pytestmark = pytest.mark.anyio

TOKENS = 10


@pytest.fixture
async def edge(shadow: Shadow, replicas: dict[str, Server]) -> AsyncIterator[Edge]:
    """All requests go to the source, and a copy of each to the shadow client."""
    folder = Path(tempfile.mkdtemp())
    edge = Edge(folder)
    shadowed = replace(route("desk", weights={"source": 100}), shadow_percent=100)
    table = RouteTable(
        (shadowed,),
        (target("source", replicas["source"]).replica,),
        {"source": KEY},
        version=1,
        shadow_socket=str(shadow.socket),
    )
    await edge.plugin.apply(edge.plugin.compile(table))
    yield edge
    await edge.close()
    shutil.rmtree(folder, ignore_errors=True)


async def ask(edge: Edge) -> tuple[str, str, str | None]:
    """Request id, text and finish reason of a stream, as a client sees it."""
    words, finish = [], None
    async with edge.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=MODEL,
            messages=[{"role": "user", "content": "to be or not"}],
            max_tokens=TOKENS,
            temperature=0,
            stream=True,
        )
        async for part in raw.parse():
            words.append(part.choices[0].delta.content or "")
            finish = part.choices[0].finish_reason or finish
    return raw.headers["x-request-id"], "".join(words), finish


async def test_each_request_makes_a_pair_and_one_row(edge: Edge, shadow: Shadow) -> None:
    ids = []
    for pairs in range(1, 4):
        id, text, finish = await ask(edge)
        assert (text, finish) == ("to be or not to be or not to be", "length")
        ids.append(id)
        await shadow.after(pairs)
    report = shadow.report
    assert (report.pairs, report.at_temperature_0) == (3, 3)
    assert (report.source_failed, report.failed, report.other_finish, report.other_text, report.dropped) == (0,) * 5
    last = (await edge.get()).headers["x-request-id"]
    assert [row.id for row in await edge.rows(4)] == [*ids, last]  # so that a copy's row would stand before the last
    assert await edge.open() == ()


async def test_a_broken_destination_is_the_shadows_matter_alone(
    edge: Edge, shadow: Shadow, replicas: dict[str, Server]
) -> None:
    set_faults(replicas["destination"], error_rate=1.0)
    _, text, finish = await ask(edge)
    assert (len(text.split()), finish) == (TOKENS, "length")
    assert await shadow.after(pairs=1) == ShadowReport(pairs=1, failed=1)
    [row] = await edge.rows(1)
    assert (row.outcome, row.deployment) == ("complete", "source")


async def test_clients_do_not_wait_for_a_hanging_destination(
    edge: Edge, shadow: Shadow, replicas: dict[str, Server]
) -> None:
    set_faults(replicas["destination"], hang=True)
    for _ in range(12):  # more than the pairs that may be asked at once
        _, text, _ = await ask(edge)
        assert len(text.split()) == TOKENS
    assert shadow.report.pairs == 0
    assert shadow.report.dropped >= 1
    assert {row.outcome for row in await edge.rows(12)} == {"complete"}
