"""Two clusters behind one nginx; one of them goes, all at once and for good, while both answer."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from finsight_serve.domain.breaker import BreakerRules

from ..e2e.faults import Toll, is_well, rows_of, wait_for_traffic
from ..e2e.load import Load
from ..e2e.moving import migrate, wait_phase, wait_streaming
from ..e2e.waiting import wait_until
from .harness.cluster import Cluster
from .reports import report
from .stands import ClusterStand, deployment, pods_of

pytestmark = pytest.mark.long

EAST, WEST = "chat-east", "chat-west"
ASSIGNED, WEIGHED = "assigned", "weighed"
BOTH = {"min_replicas": 2, "max_replicas": 2}
ENGINE = {"token_interval_s": 0.05}
WORKERS, TOKENS = 6, 20
CALM_ANSWERS = 10 * WORKERS
CALM_S = BreakerRules().open_s + 5
READY_S, CUT_OVER_S = 180.0, 30.0
TITLE = "one of two clusters is lost"
HEADER = (
    "tenant",
    "requests",
    "failed",
    "truncated",
    "in work there",
    "seconds to the last loss",
    "whole since",
)


@dataclass(frozen=True, kw_only=True)
class Outcome(Toll):
    tenant: str
    in_work: int  # at the lost cluster when it went
    last_loss_s: float  # after it went
    since: int  # whole answers, all begun after the last loss

    def line(self) -> tuple[str, ...]:
        lost = (str(self.in_work), f"{self.last_loss_s:.1f}", str(self.since))
        return (self.tenant, *self.counts, *lost)


@pytest.fixture
def nobody_else(second_cluster: Cluster) -> Iterator[None]:
    """The addresses of pods that are gone lead nowhere: by the default route who knows what would answer there."""
    behind = ("unreachable", second_cluster.pod_cidr, "metric", "9999")
    subprocess.run(["ip", "route", "add", *behind], check=True)
    yield
    subprocess.run(["ip", "route", "del", *behind], check=True)


@pytest.fixture
def stand(cluster: Any, namespace: str, second_cluster: Cluster) -> Iterator[ClusterStand]:
    """East is the one that is to go; so its namespace is left to go with it."""
    second_cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    with closing(ClusterStand(cluster, namespace)) as stand:
        stand.write(
            backends={"west": pods_of(cluster, namespace), "east": pods_of(second_cluster, namespace)},
            deployments=[
                deployment(WEST, "west", policy=BOTH, engine_options=ENGINE),
                deployment(EAST, "east", policy=BOTH, engine_options=ENGINE),
            ],
            tenants=[{"name": ASSIGNED, "deployment": EAST}, {"name": WEIGHED, "deployment": WEST}],
        )
        stand.serve(READY_S)
        wait_until(lambda: is_well(stand.live(), 4), READY_S, "both clusters' replicas are well")
        yield stand


@pytest.mark.usefixtures("nobody_else")
def test_its_tenants_go_on_in_the_other(
    stand: ClusterStand, second_cluster: Cluster, pytestconfig: pytest.Config
) -> None:
    id = migrate(stand, WEIGHED, EAST, "--steps", "50,100", "--hold", "1h")
    wait_phase(stand, id, "shifting 50")
    east = {one.address for one in stand.seen().replicas if one.deployment == EAST}
    options = {"workers": WORKERS, "tokens": TOKENS}
    with stand.load(ASSIGNED, **options) as assigned, stand.load(WEIGHED, **options) as weighed:
        loads = {ASSIGNED: assigned, WEIGHED: weighed}
        wait_streaming(*loads.values())
        for load in loads.values():
            wait_for_traffic(load)
        struck_s = time.monotonic()
        stand.lost.append("east")
        second_cluster.stop()
        gone_s = time.monotonic()
        wait_until(lambda: goes_nowhere_else(stand), CUT_OVER_S, "all tenants are answered in the west")
        for load in loads.values():
            wait_for_traffic(load, CALM_ANSWERS)
        wait_until(lambda: time.monotonic() > struck_s + CALM_S, CALM_S, "a breaker alone would have tried it again")
    tolls = [toll_of(stand, tenant, load, east, struck_s) for tenant, load in loads.items()]
    for toll in tolls:
        report(pytestconfig, TITLE, HEADER, toll.line())
    for toll in tolls:
        assert not [answer for answer in toll.not_whole if answer.began_s > struck_s], toll.explain()
        assert toll.since >= CALM_ANSWERS, toll.explain()
        truncated = [answer for answer in toll.not_whole if answer.outcome == "truncated"]
        assert len(truncated) <= toll.in_work, toll.explain()
        assert all(answer.began_s < gone_s for answer in truncated), toll.explain()
        assert {toll.rows[answer.request_id][0] for answer in truncated} <= east, toll.explain()
        assert toll.last_loss_s < CUT_OVER_S, toll.explain()
    mistyped = stand.fs("down", "--keep", "south")
    said = "fs: --keep south: the stack has no such backend; it has east, west\n"
    assert (mistyped.returncode, mistyped.stderr) == (2, said), "and nothing was removed"


def goes_nowhere_else(stand: ClusterStand) -> bool:
    return {one.routed_to for one in stand.seen().tenants} == {f"{WEST} 100 %"}


def toll_of(stand: ClusterStand, tenant: str, load: Load, east: set[str], struck_s: float) -> Outcome:
    answers = tuple(load.answers)
    rows: Mapping[str, tuple[str, str]] = rows_of(stand, answers)
    last_s = max((answer.ended_s for answer in answers if answer.outcome != "whole"), default=struck_s)
    at_work = [a for a in answers if a.began_s < struck_s < a.ended_s and rows.get(a.request_id, ("",))[0] in east]
    return Outcome(
        answers=answers,
        rows=rows,
        tenant=tenant,
        in_work=len(at_work),
        last_loss_s=last_s - struck_s,
        since=sum(answer.outcome == "whole" and answer.began_s > last_s for answer in answers),
    )
