"""The cluster's own parts fail, one at a time, under a steady load of streams through nginx to two pods.

A fault lasts 20 s; with FS_ALL_FAULTS=1 a minute, which is longer than Kubernetes takes to give up a silent node.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest

from finsight_serve.controller.status import Status

from ..e2e.faults import HEADER, WORKERS, Trial, is_well, try_fault, wait_for_traffic
from ..e2e.load import Load
from ..e2e.waiting import wait_until
from .harness.cluster import Cluster
from .reports import report
from .stands import BACKEND, ClusterStand

LASTS_S = 60.0 if os.environ.get("FS_ALL_FAULTS") else 20.0
ASKED_AGAIN_S = 15.0
REPLICAS = 2
TITLE = "faults of a cluster under a steady load of streams"
KEDA = "app=keda-operator"
FILL = """
import os
file = os.open("/dev/shm/filling", os.O_CREAT | os.O_RDWR)
os.unlink("/dev/shm/filling")
while True:
    os.write(file, bytes(1 << 20))
"""
"""Memory that belongs to no process, so that the kernel ends the largest one: the engine."""


@pytest.fixture(scope="module")
def stand(cluster: Cluster) -> Iterator[ClusterStand]:
    if not isinstance(cluster, Cluster):
        pytest.skip("the cluster's parts aren't ours to kill")
    with cluster.namespace() as namespace, closing(ClusterStand(cluster, namespace)) as stand:
        stand.write(
            policy={"min_replicas": REPLICAS, "max_replicas": 4, "target_ongoing_requests": 10},
            engine_options={"token_interval_s": 0.05},
            pods={"memory": "256Mi"},
        )
        stand.serve()
        wait_until(lambda: is_well(stand.live(), REPLICAS), 60, "two replicas")
        yield stand


@pytest.fixture
def trial(stand: ClusterStand, pytestconfig: pytest.Config) -> Iterator[Callable[..., Trial]]:
    def run(fault: str, strike: Callable[[Load], None], is_mended: Callable[..., bool], note: str = "") -> Trial:
        done = try_fault(stand, fault, strike, is_mended, replicas=REPLICAS, deadline_s=120, note=note)
        report(pytestconfig, TITLE, HEADER, done.line())
        return done

    told = len(stand.serving.output)
    yield run
    print(stand.serving.output[told:])  # pytest shows it where the test failed


def lasts(load: Load, seconds: float = LASTS_S) -> None:
    """The fault does, and requests are answered meanwhile."""
    began_s = load.answers[-1].ended_s
    wait_until(lambda: load.answers[-1].ended_s > began_s + seconds, seconds + 30, "the fault has lasted")
    wait_for_traffic(load)


def scales(status: Status) -> bool:
    """KEDA and its HPA both see their signal."""
    says = status.deployments[0].autoscaler
    return says.startswith("KEDA ready; 2 of 2-4 replicas; load ") and "; its autoscaler:" not in says


def backend_state(stand: ClusterStand) -> str:
    return next(one.state for one in stand.seen().backends if one.name == BACKEND)


@pytest.mark.long
def test_the_api_server_is_stopped(cluster: Cluster, stand: ClusterStand, trial: Callable[..., Trial]) -> None:
    before = stand.replicas()

    def strike(load: Load) -> None:
        cluster.stop_api_server()
        try:
            wait_until(lambda: backend_state(stand) != "ok", 60, "fs status says that it does not answer")
            lasts(load)
        finally:
            cluster.start_api_server()

    trial(f"API server killed, back after {LASTS_S:.0f} s", strike, scales).assert_all_whole()
    assert stand.replicas() == before


def test_the_keda_operator_is_killed(cluster: Cluster, stand: ClusterStand, trial: Callable[..., Trial]) -> None:
    def operators() -> dict[str, bool]:
        found = cluster.kubectl.json("get", "pods", "-n", "keda", "-l", KEDA)["items"]
        return {pod["metadata"]["uid"]: is_ready(pod) for pod in found}

    before, old = stand.replicas(), operators()
    assert len(old) == 1

    def strike(_: Load) -> None:
        cluster.kubectl("delete", "pods", "-n", "keda", "-l", KEDA, "--force", "--grace-period=0")

    def mended(status: Status) -> bool:
        now = operators()
        return scales(status) and not set(old) & set(now) and any(now.values())

    trial("KEDA's operator killed", strike, mended).assert_all_whole()
    assert stand.replicas() == before


def is_ready(pod: dict[str, object]) -> bool:
    conditions = pod["status"].get("conditions", ())  # type: ignore[attr-defined]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@pytest.mark.long
def test_prometheus_is_gone(cluster: Cluster, stand: ClusterStand, trial: Callable[..., Trial]) -> None:
    before = stand.replicas()

    def strike(load: Load) -> None:
        cluster.stop_prometheus()
        try:
            wait_until(lambda: not scales(stand.seen()), 90, "fs status says that the signal is lost")
            lasts(load)
            assert stand.replicas() == before, "a lost signal leaves the count alone"
        finally:
            cluster.start_prometheus()

    trial(f"Prometheus gone, back after {LASTS_S:.0f} s", strike, scales).assert_all_whole()
    assert stand.replicas() == before


@pytest.mark.long
def test_the_kubelet_is_killed(cluster: Cluster, stand: ClusterStand, trial: Callable[..., Trial]) -> None:
    """It comes back without knowing its pods, and calls them unready until it has asked each."""
    before = stand.replicas()

    def node_is_ready() -> bool:
        return all(map(is_ready, cluster.kubectl.json("get", "nodes")["items"]))

    def strike(load: Load) -> None:
        cluster.kill_kubelet()
        try:
            lasts(load)
        finally:
            cluster.start_kubelet()
        lasts(load, ASKED_AGAIN_S)

    note = f"{ASKED_AGAIN_S:.0f} s of it after its return"
    trial(f"kubelet killed, back after {LASTS_S:.0f} s", strike, lambda _: node_is_ready(), note).assert_all_whole()
    assert stand.replicas() == before


def test_a_pod_is_killed_for_its_memory(cluster: Cluster, stand: ClusterStand, trial: Callable[..., Trial]) -> None:
    id, address = sorted(stand.replicas().items())[0]
    held = 0

    def was_killed_for_its_memory() -> bool:
        pod = cluster.kubectl.json("get", "pod", id, "-n", stand.namespace)
        [engine] = pod["status"]["containerStatuses"]
        states = (engine["state"], engine["lastState"])
        return any(state.get("terminated", {}).get("reason") == "OOMKilled" for state in states)

    def strike(_: Load) -> None:
        nonlocal held
        held = connections_to(address)
        command = (sys.executable, "-c", FILL)
        assert not cluster.kubectl.works("exec", id, "-n", stand.namespace, "-c", "engine", "--", *command)
        wait_until(was_killed_for_its_memory, 60, "the cluster says so")

    # the container starts again in its place; on a slow machine the probe gives it up before, and the pod is replaced
    done = trial("a serving pod killed for its memory", strike, lambda _: True, note="truncated is what it held")
    done.assert_only_lost_on(address, at_most=min(held, WORKERS))


def connections_to(address: str) -> int:
    """Established, from this host; nginx keeps some that are idle."""
    return sum(
        bool(one.raddr) and f"{one.raddr.ip}:{one.raddr.port}" == address and one.status == psutil.CONN_ESTABLISHED
        for one in psutil.net_connections("tcp")
    )
