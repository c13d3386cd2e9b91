"""The record's DEFAULT policy on real KEDA, under streams that a client keeps a ledger of; and a node that is drained.

FS_FULL_POLICY=1 waits the record's own delays of 30 and 300 s, which takes 18 minutes.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest

from ..e2e.faults import is_well, rows_of
from ..e2e.load import Answer
from ..e2e.waiting import wait_until
from .harness.cluster import Cluster
from .harness.control_plane import NODE
from .reports import report
from .stands import ClusterStand

FULL = bool(os.environ.get("FS_FULL_POLICY"))
UP_S, DOWN_S = (30, 300) if FULL else (10, 30)
DEFAULT = {
    "min_replicas": 1,
    "max_replicas": 4,
    "target_ongoing_requests": 10,
    "upscale_delay_s": UP_S,
    "downscale_delay_s": DOWN_S,
    "smoothing_factor": 0.5,
}
ENGINE = {"token_interval_s": 0.2}
TOKENS = 20  # an answer takes 4 s
FEW, MANY = 4, 34  # streams; together they are worth 4 replicas of 10, the few are worth one
STEPS, SYNCS_S = 3, 90.0  # half of the way is one replica, each waits its delay anew, and the HPA looks every 15 s
NODE_S = 90.0
HEADER = ("under load", "replicas", "requests", "failed", "truncated", "seconds")
TITLE = "replicas that come and go under streams"


@dataclass
class Counts:
    """How many replicas were ready, each time another number than before."""

    stand: ClusterStand
    began_s: float = field(default_factory=time.monotonic)
    seen: list[tuple[float, int]] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator["Counts"]:
        over = Event()
        thread = Thread(target=self._watch, args=(over,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def reaches(self, count: int, deadline_s: float) -> None:
        wait_until(lambda: self.seen and self.seen[-1][1] == count, deadline_s, f"{count} ready replicas")

    def __str__(self) -> str:
        return " → ".join(f"{count}" for _, count in self.seen)

    @property
    def seconds(self) -> str:
        return ", ".join(f"{at_s:.0f}" for at_s, _ in self.seen)

    def _watch(self, over: Event) -> None:
        while not over.wait(0.5):
            count = len(self.stand.replicas())
            if not self.seen or self.seen[-1][1] != count:
                self.seen.append((time.monotonic() - self.began_s, count))


@pytest.fixture
def stand(cluster: Cluster, namespace: str) -> Iterator[ClusterStand]:
    with closing(ClusterStand(cluster, namespace)) as stand:
        yield stand


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Callable[..., None]:
    def tell(what: str, counts: Counts, answers: list[Answer]) -> None:
        lost = [sum(answer.outcome == outcome for answer in answers) for outcome in ("failed", "truncated")]
        report(pytestconfig, TITLE, HEADER, (what, counts, len(answers), *lost, counts.seconds))

    return tell


def assert_whole(stand: ClusterStand, answers: list[Answer]) -> None:
    """By the client's own ledger, and then by the load balancer's."""
    bad = [answer for answer in answers if answer.outcome != "whole"]
    rows = rows_of(stand, answers)
    assert not bad, "\n".join(f"{one.outcome} {rows.get(one.request_id)} {one.why}" for one in bad[:20])
    assert {outcome for _, outcome in rows.values()} == {"complete"}


@pytest.mark.long
def test_keda_scales_the_default_policy_to_four_and_back(stand: ClusterStand, tell: Callable[..., None]) -> None:
    stand.write(policy=DEFAULT, engine_options=ENGINE)
    stand.serve()
    with Counts(stand).watched() as counts:
        counts.reaches(1, 30)
        with stand.load(workers=FEW, tokens=TOKENS) as few:
            with stand.load(workers=MANY, tokens=TOKENS) as many:
                counts.reaches(4, STEPS * UP_S + SYNCS_S)
                told = "4 of 1-4 replicas"
                wait_until(lambda: told in stand.seen().deployments[0].autoscaler, 60, f"fs status says {told}")
            counts.reaches(1, STEPS * DOWN_S + SYNCS_S)
            wait_until(lambda: len(stand.pods()) == len(stand.seen().replicas) == 1, 60, "the last have drained")
    answers = [*few.answers, *many.answers]
    tell(f"DEFAULT, {UP_S}/{DOWN_S} s: {FEW}, then {FEW + MANY} streams, then {FEW}", counts, answers)
    assert_whole(stand, answers)
    assert [max(count for _, count in counts.seen), counts.seen[-1][1]] == [4, 1]


def test_a_drained_node_leaves_what_the_budget_says(
    cluster: Cluster, stand: ClusterStand, tell: Callable[..., None]
) -> None:
    """All pods of the one node are asked to go, KEDA's too; nothing can start elsewhere."""
    if not isinstance(cluster, Cluster):
        pytest.skip("the node isn't ours to drain")
    stand.write(policy={"min_replicas": 2, "max_replicas": 2}, engine_options=ENGINE)
    stand.serve()
    wait_until(lambda: is_well(stand.live(), 2), 60, "two replicas")
    before = set(stand.replicas())
    with Counts(stand).watched() as counts, stand.load(workers=8, tokens=TOKENS) as load:
        wait_until(lambda: load.count("whole") > 8, 60, "answers")
        said = drain(cluster, lambda: len(stand.replicas()) == 1)
        left = set(stand.replicas())
        asked = load.count("whole")
        wait_until(lambda: load.count("whole") > asked + 8, 60, "answers from the one that is left")
        assert set(stand.replicas()) == left
        cluster.kubectl("uncordon", NODE)
        wait_until(lambda: is_well(stand.live(), 2), NODE_S, "two replicas again")
    cluster.kubectl("wait", "-n", "keda", "--for=condition=Available", "deployment", "--all", "--timeout=60s")
    tell("kubectl drain of the one node, then uncordon", counts, load.answers)
    assert "Cannot evict pod as it would violate the pod's disruption budget" in said
    assert len(left) == 1 and left < before
    assert_whole(stand, load.answers)


def drain(cluster: Cluster, done: Callable[[], bool]) -> str:
    """`kubectl drain`, which goes on asking for what a budget holds; until `done`, and for one more try of its."""
    kubectl = cluster.kubectl
    argv = [str(kubectl.binary), f"--kubeconfig={kubectl.kubeconfig}", "drain", NODE, "--ignore-daemonsets", "--force"]
    process = subprocess.Popen(
        [*argv, "--delete-emptydir-data"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said: list[str] = []
    reader = Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        wait_until(lambda: done() and sum("disruption budget" in line for line in said) > 1, 90, "the budget holds it")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        reader.join()
    return "".join(said)
