"""`python -m benchmarks.k8s [scaling|routes|watch …] [-o json]`: what Kubernetes costs. Some ten minutes.

Needs a machine that can hold a cluster, or FS_TEST_KUBECONFIG for one that runs; see tests/cluster.
"""

import asyncio
import importlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from finsight_serve.cli.output import Section, rendered

from . import kubernetes, routes, scaling
from .__main__ import describe
from .kubernetes import Place
from .machine import say

ROUNDS = 5
TENANTS = 1000
WATCHED_PODS = 1000

Measure = Callable[[Place, str, Path], list[Section]]


def measure_scaling(place: Place, namespace: str, folder: Path) -> list[Section]:
    cells = {}
    for name, options in (("ray", None), ("k8s-keda", kubernetes.backend(place, namespace))):
        say(f"{ROUNDS} steps up on {name}")
        cells[name] = scaling.measure(name, options, folder, ROUNDS)
    title = f"seconds from {scaling.STREAMS} streams on one replica to a second that is ready, {ROUNDS} rounds"
    return [Section(title, [scaling.row(name, took_s) for name, took_s in cells.items()])]


def measure_routes(place: Place, namespace: str, folder: Path) -> list[Section]:
    rows = asyncio.run(routes.measure(place, namespace, folder, TENANTS))
    return [Section(f"routes of {TENANTS} tenants through a Gateway", rows)]


def measure_watch(place: Place, namespace: str, folder: Path) -> list[Section]:
    watch = importlib.import_module(".k8s_watch", __package__)
    return [Section(f"a controller that watches {WATCHED_PODS} pods", watch.measure(place, namespace, WATCHED_PODS))]


MEASURES: dict[str, Measure] = {"scaling": measure_scaling, "routes": measure_routes, "watch": measure_watch}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(MEASURES)))
@rendered
def main(parts: tuple[str, ...]) -> object:
    """Measure PARTS (all unless given) on a real cluster."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    started_s = time.monotonic()
    sections = []
    with kubernetes.cluster() as place:
        for part, measure in MEASURES.items():
            if part in (parts or MEASURES):
                say(part)
                with (
                    tempfile.TemporaryDirectory(prefix="fs-bench-", dir="/tmp") as folder,
                    place.namespace() as namespace,
                ):
                    sections += measure(place, namespace, Path(folder))
    return [*sections, Section("about this run", dict(describe(started_s)))]


if __name__ == "__main__":
    main()
