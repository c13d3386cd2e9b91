"""A real cluster without KEDA and without the Gateway API: one line says what to install, and nothing is changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ..e2e.stand import Stand
from .applied import Applying
from .harness.cluster import Cluster
from .stands import ClusterStand, deployment

KEDA = "the cluster does not know ScaledObject (keda.sh/v1alpha1)"
INSTALL_KEDA = "install KEDA 2.17 or later: https://keda.sh/docs/latest/deploy/"
GATEWAY_API = "the cluster does not know HTTPRoute (gateway.networking.k8s.io/v1)"
INSTALL_GATEWAY_API = "install the Gateway API and a controller for it: https://gateway-api.sigs.k8s.io/guides/"


def objects(cluster: Cluster, namespace: str) -> set[str]:
    """All of a namespace, of whatever kind; what is only reported of it left out."""
    kinds = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    kept = ",".join(kind for kind in kinds if kind.partition(".")[0] != "events")
    return set(cluster.kubectl("get", kept, "-n", namespace, "-o", "name").split())


@pytest.fixture
def bare(bare_cluster: Cluster) -> Iterator[tuple[Cluster, str]]:
    """A cluster without KEDA and Gateway API, and a namespace there in which nothing may be changed."""
    with bare_cluster.namespace() as namespace:
        before = objects(bare_cluster, namespace)
        yield bare_cluster, namespace
        assert objects(bare_cluster, namespace) == before


@contextmanager
def standing(cluster: Cluster, namespace: str, **options: Any) -> Iterator[ClusterStand]:
    stand = ClusterStand(cluster, namespace, **options)
    try:
        yield stand
    finally:
        Stand.close(stand)  # the stand's own end asks for kinds that aren't there


def refused(stand: ClusterStand) -> list[str]:
    """What `fs serve` is refused with, a line each."""
    done = stand.fs("serve")
    assert (done.returncode, done.stdout) == (2, "")
    stand.assert_nothing_runs()
    return done.stderr.splitlines()


def test_keda_is_not_installed(bare):
    with standing(*bare) as stand:
        stand.write()
        assert refused(stand) == [f"fs: {KEDA}; {INSTALL_KEDA}"]


def test_keda_is_not_installed_and_it_is_applied_all_the_same(bare, tmp_path):
    cluster, namespace = bare
    line = Applying(cluster.kubectl, namespace, cluster.prometheus_url, tmp_path).refusal("chat")
    assert line == f"{KEDA}; {INSTALL_KEDA}"


def test_the_gateway_api_is_not_installed(bare):
    with standing(*bare, mode="gateway") as stand:
        stand.write(backends={"local": {"orchestrator": "local"}}, deployments=[deployment("chat", "local")])
        assert refused(stand) == [
            f"fs: load balancer gateway: {GATEWAY_API}: {INSTALL_GATEWAY_API}; mend that, and start again"
        ]
