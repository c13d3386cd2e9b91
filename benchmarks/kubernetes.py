"""A cluster to measure on: the one that FS_TEST_KUBECONFIG names, or one of the harness's for as long as it takes."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tests.cluster.harness import clusters
from tests.cluster.harness.builds import build, cached
from tests.cluster.harness.cluster import Cluster, Settings
from tests.cluster.harness.given import GivenCluster
from tests.cluster.harness.host_mounts import as_options, python_folders
from tests.cluster.harness.requirements import lacking

from .machine import say

SCRAPE_S = 2
Place = Cluster | GivenCluster


@contextmanager
def cluster() -> Iterator[Place]:
    """Raises `click.ClickException` where there is none and this machine can hold none."""
    binaries = cached()
    if given := os.environ.get("FS_TEST_KUBECONFIG"):
        path = Path(given).expanduser()
        yield clusters.find_by_kubeconfig(path, binaries) or GivenCluster(path)
        return
    if missing := lacking(binaries):
        raise click.ClickException(f"this machine can't hold a cluster: it lacks {'; '.join(missing)}")
    build(binaries, say)
    say("starting a cluster")
    made = clusters.make(f"bench-{secrets.token_hex(2)}", binaries, Settings(scrape_interval_s=SCRAPE_S))
    try:
        yield made
    finally:
        made.stop()


def backend(where: Place, namespace: str) -> dict[str, Any]:
    """A `k8s-keda` backend whose pods run this very environment."""
    return {
        "orchestrator": "k8s-keda",
        "kubeconfig": str(where.kubeconfig),
        "context": where.context,
        "namespace": namespace,
        "prometheus": where.prometheus_url,
        "scrape_interval_s": SCRAPE_S,
        "hpa_tolerance": True,
        "image": where.host_image,
        "image_pull_policy": "Never",
        "python": sys.executable,
        "volumes": as_options(python_folders()),
        "pre_stop_s": 2,
        "drain_timeout_s": 60,
    }
