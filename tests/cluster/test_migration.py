"""A tenant moved between Ray's replicas and pods while it asks: by nginx's split, and by the real Gateway's weights."""

import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Literal

import pytest

from finsight_serve.domain.migration import Migration, ShiftRecord

from ..e2e.faults import LEDGER_S, is_well, ledger_rows, whole_ledger
from ..e2e.load import Load
from ..e2e.moving import migrate, wait_over, wait_streaming
from ..e2e.waiting import wait_until
from .reports import report
from .stands import BACKEND, ClusterStand, deployment

pytestmark = pytest.mark.long

RAY, PODS = "chat", "chat-pods"
ENGINE = {"engine_options": {"token_interval_s": 0.02}}
RAY_OPTIONS = {"health_check_period_s": 1, "health_check_timeout_s": 5, "drain_timeout_s": 20}
STEPS = ("--steps", "1,10,50,100", "--hold", "5s", "--min-requests", "1", "--limit", "error_rate<=0.1%")
WORKERS, TOKENS = 8, 5
READY_S, MOVED_S = 240.0, 180.0
BY_CHANCE = 1e-6
"""Of a share further from its weight than this is likely, the weight can't have been what routed it."""
TITLE = "tenants moved between Ray's replicas and pods"
HEADER = ("through", "to", "weight", "requests", "share seen", "95 % by chance", "failed", "truncated")


@pytest.fixture(scope="module")
def stand(cluster: Any) -> Iterator[ClusterStand]:
    """Nothing runs yet. One for both ways through, since Ray takes its time to start."""
    if not find_spec("ray"):
        pytest.skip("ray is not installed")
    with cluster.namespace() as namespace, closing(ClusterStand(cluster, namespace)) as stand:
        yield stand


def serve(stand: ClusterStand, mode: Literal["nginx", "gateway"], **ray: Any) -> None:
    """Ray's replicas listen where the cluster's proxies reach them. What ran before goes on, behind another front."""
    local = {"orchestrator": "ray", **RAY_OPTIONS, "replica_host": stand.cluster.host_address, **ray}
    if stand.live() is not None:
        stand.serving.process.send_signal(signal.SIGTERM)
        assert stand.serving.wait_ended() == 0, stand.serving.output
    stand.mode = mode
    stand.write(
        backends={"ray": local},
        deployments=[deployment(RAY, "ray", **ENGINE), deployment(PODS, BACKEND, **ENGINE)],
    )
    stand.serve(READY_S)
    wait_until(lambda: is_well(stand.live(), 2), READY_S, "both deployments are well")


@pytest.mark.parametrize("mode", ["nginx", "gateway"])
def test_a_tenant_is_moved_there_and_back_and_nothing_is_lost(
    stand: ClusterStand, mode: Literal["nginx", "gateway"], request: pytest.FixtureRequest
) -> None:
    serve(stand, mode)
    moved = []
    with stand.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        for to in (PODS, RAY):
            moved.append(wait_over(stand, migrate(stand, stand.tenant, to, *STEPS), MOVED_S))
            assert moved[-1].phase == "done", moved[-1].reason
    rows = rows_of(stand, load)
    for migration in moved:
        for record, until_s in spans(migration):
            seen = of_step(rows, record, migration, until_s)
            report(request.config, TITLE, HEADER, line(mode, migration, record, seen, load))
            there = sum(row["deployment"] == migration.destination for row in seen)
            assert is_likely(there, len(seen), record.percent / 100), (migration.destination, record, there, len(seen))
    assert [answer.why for answer in load.not_whole()] == []
    assert {row["outcome"] for row in rows.values()} == {"complete"}
    assert {row["deployment"] for row in rows.values()} == {RAY, PODS}


def rows_of(stand: ClusterStand, load: Load) -> Mapping[str, Mapping[str, Any]]:
    """The ledger's for what this load asked, by request id."""
    ids = {answer.request_id for answer in load.answers}
    assert len(ids) == len(load.answers) and "" not in ids
    wait_until(lambda: ledger_rows(stand.state, ids), LEDGER_S, "the ledger has a row for every request")
    return {id: row for id, row in whole_ledger(stand.state).items() if id in ids}


def spans(migration: Migration) -> Iterator[tuple[ShiftRecord, float]]:
    """Each step, and when the next one began."""
    yield from ((record, following.began_s) for record, following in pairwise(migration.records))
    yield migration.records[-1], migration.since_s


def of_step(
    rows: Mapping[str, Mapping[str, Any]], record: ShiftRecord, migration: Migration, until_s: float
) -> list[Mapping[str, Any]]:
    """Begun while its weights alone were in force: a Gateway has the next step's before the edge counts them."""
    later = [other.from_version for other in migration.records if other.from_version > record.from_version]
    before = min(later, default=math.inf)
    return [
        row
        for row in rows.values()
        if record.from_version <= row["route_version"] < before and row["started_s"] < until_s
    ]


def is_likely(count: int, of: int, share: float) -> bool:
    """Whether `count` of so many independent draws, or one further from their mean, is no wonder."""
    assert of, "nothing was asked in this step"
    at_most = sum(binomial(k, of, share) for k in range(count + 1))
    at_least = sum(binomial(k, of, share) for k in range(count, of + 1))
    return min(at_most, at_least) > BY_CHANCE / 2


def binomial(count: int, of: int, share: float) -> float:
    """How likely `count` of so many draws are."""
    if share in (0.0, 1.0):
        return float(count == of * share)
    ways = math.lgamma(of + 1) - math.lgamma(count + 1) - math.lgamma(of - count + 1)
    return math.exp(ways + count * math.log(share) + (of - count) * math.log1p(-share))


def line(
    mode: str, migration: Migration, record: ShiftRecord, seen: list[Mapping[str, Any]], load: Load
) -> tuple[str, ...]:
    there = sum(row["deployment"] == migration.destination for row in seen)
    share = record.percent / 100
    around = 196 * math.sqrt(share * (1 - share) / max(len(seen), 1))
    lost = [sum(row["outcome"] == outcome for row in seen) for outcome in ("failed", "truncated")]
    return (
        {"nginx": "nginx", "gateway": "nginx and Gateway"}[mode],
        {RAY: "Ray", PODS: "pods"}[migration.destination],
        f"{record.percent} %",
        str(len(seen)),
        f"{100 * there / max(len(seen), 1):.1f} %",
        f"± {around:.1f} %",
        *map(str, lost),
    )
