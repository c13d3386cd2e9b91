"""Ten thousand tenants are a matter of a second."""

import hashlib
import time

import pytest

from finsight_serve.plugin import Limits, Replica, Route, RouteTable

from .edge import Edge
from .upstream import says

pytestmark = pytest.mark.anyio

TENANTS = 10_000
GOAL_S = 2.0


def routes(first_rate: float) -> tuple[Route, ...]:
    """Each with limits of its own; a hundred different weights."""
    return tuple(
        Route(
            f"tenant-{n}",
            (hashlib.sha256(f"sk-{n}".encode()).hexdigest(),),
            {"chat": 100 - n % 100, "ray": n % 100},
            Limits(64, first_rate + n / 10, 1000 + n),
        )
        for n in range(TENANTS)
    )


async def test_ten_thousand_tenants_are_rendered_tested_and_loaded_within_the_goal(edge: Edge) -> None:
    upstream = await edge.upstream(says(200, 1))
    await edge.apply()
    replicas = tuple(Replica(name, name, upstream.address, "ready") for name in ("chat", "ray"))
    durations = []
    for version in (1, 2, 3):
        table = RouteTable(routes(version), replicas, {"chat": "k", "ray": "k"}, version)
        began_s = time.monotonic()
        await edge.plugin.apply(edge.plugin.compile(table))
        durations.append(time.monotonic() - began_s)
        assert (await edge.get(key=f"sk-{TENANTS - 1}")).status_code == 200
    assert min(durations) < GOAL_S, durations  # others use the machine as well
    assert [row.tenant for row in await edge.rows(3)] == [f"tenant-{TENANTS - 1}"] * 3
