"""`python -m benchmarks.tenants [routers|sizes|neighbour …] [-o json]`: what tenancy costs. Some eight minutes.

Everything talks over loopback to upstreams on this machine. All rows of one table come from one run and were measured
in turn, round after round, and are medians over the rounds: trust the ratios, never an absolute time of a shared
machine. Peers are installed into the user's cache folder on first use; one that does not run here is a row saying why.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from finsight_serve.cli.output import Section, rendered

from . import contenders, neighbour, peers, sizes
from .__main__ import describe
from .cores import Cores, split_cores
from .generator import OwnGenerator, Wrk, choose_generator
from .machine import say
from .static import PROMPT, REPLICAS, answer
from .tenants_figures import neighbour_rows, router_rows, size_rows

PARTS = ("routers", "sizes", "neighbour")
ROUNDS, CELL_S = 5, 2.0
SIZE_ROUNDS = 5
NEIGHBOUR_ROUNDS, NEIGHBOUR_S = 4, 5.0


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@rendered
def main(parts: tuple[str, ...]) -> object:
    """Measure PARTS (all unless given) on this machine."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    started_s = time.monotonic()
    cores = split_cores()
    generator = choose_generator(threads=len(cores.load) or None)
    measures: dict[str, Callable[[Path, Cores, Wrk | OwnGenerator], list[Section]]] = {
        "routers": measure_routers,
        "sizes": measure_sizes,
        "neighbour": measure_neighbour,
    }
    sections = []
    for part in PARTS:
        if part in (parts or PARTS):
            say(part)
            with tempfile.TemporaryDirectory(prefix="fs-bench-", dir="/tmp") as folder:  # short: it holds unix sockets
                sections += measures[part](Path(folder), cores, generator)
    about = {**dict(describe(started_s)), "load_generator": generator.name, "placement": cores.described}
    return [*sections, Section("about this run", about)]


def measure_routers(folder: Path, cores: Cores, generator: Wrk | OwnGenerator) -> list[Section]:
    with contenders.contenders(folder, cores) as (found, absent):
        cells = contenders.measure(found, generator, cores, rounds=ROUNDS, cell_s=CELL_S)
    rows = router_rows(
        cells,
        absent,
        none=contenders.DIRECT,
        ours=contenders.OURS,
        fast=[peer.name for peer in peers.RUST],
        slow=peers.LITELLM.name,
    )
    what = f"chat completions of {len(answer()) / 1000:.1f} kB to prompts of {len(PROMPT) / 1000:.1f} kB"
    settings = [{"router": name, "settings": contender.settings} for name, contender in found.items()]
    return [
        Section(f"routers before {REPLICAS} static replicas, {what}, {ROUNDS} rounds of {CELL_S:g} s", rows),
        Section("settings of the routers", settings),
    ]


def measure_sizes(folder: Path, cores: Cores, generator: Wrk | OwnGenerator) -> list[Section]:
    cells, took_s = sizes.measure(folder, generator, cores, rounds=SIZE_ROUNDS, cell_s=CELL_S)
    title = "number of tenants, everything on: p50 at 1 connection, requests/s and CPU time at 32"
    return [Section(title, size_rows(cells, took_s))]


def measure_neighbour(folder: Path, cores: Cores, generator: Wrk | OwnGenerator) -> list[Section]:
    seen = neighbour.measure(folder, cores, rounds=NEIGHBOUR_ROUNDS, cell_s=NEIGHBOUR_S)
    title = f"tenant B, one stream at a time, on an engine of {neighbour.SLOTS} slots that it shares with tenant A"
    return [Section(title, neighbour_rows(seen, limited=neighbour.LIMITED))]


if __name__ == "__main__":
    main()
