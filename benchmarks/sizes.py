"""Is the cost flat from few tenants to many, and how long does a change of the table take?"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from . import contenders
from .contenders import Contender
from .cores import Cores, listeners, on
from .generator import OwnGenerator, Wrk
from .machine import say
from .static import static_upstream
from .tenanted import WEIGHTS, Ours, Tenant, ours, route_table, tenants
from .tenants_figures import Cell

SIZES = (5, 100, 1_000, 10_000)
RELOADS = 3

Cells = dict[tuple[str, int], list[Cell]]


def measure(
    folder: Path, generator: Wrk | OwnGenerator, cores: Cores, *, rounds: int, cell_s: float
) -> tuple[Cells, dict[int, tuple[float, float]]]:
    """(number of tenants, connections) → a cell for each round; and number → median seconds to render and to reload.

    What is rendered and reloaded is a table in which one tenant's key is another.
    """
    took_s = {}
    with ExitStack() as started:
        with on(cores.load):
            replicas = started.enter_context(static_upstream(folder / "upstream", workers=len(cores.load) or 1))
        found = {}
        for size in SIZES:
            say(f"{size:,} tenants")
            of_table = tenants(size)
            with on(cores.routers):
                table = route_table(of_table, replicas, weights=WEIGHTS)
                running = started.enter_context(ours(table, folder / str(size), workers=cores.workers))
            took_s[size] = _reload(running, of_table, replicas)
            helpers = (running.reader_pid,) if running.reader_pid else ()
            target = running.target(str(size), of_table)
            found[str(size)] = Contender(target, "", listeners(running.address), helpers)
        cells = contenders.measure(found, generator, cores, rounds=rounds, cell_s=cell_s)
    return cells, took_s


def _reload(running: Ours, of_table: Sequence[Tenant], replicas: Sequence[str]) -> tuple[float, float]:
    """Each time one tenant's key is another; at last the table is as it was."""
    took_s = []
    for number in range(RELOADS):
        changed = of_table if number == RELOADS - 1 else [replace(of_table[0], key=f"other-{number}"), *of_table[1:]]
        took_s.append(running.apply(route_table(changed, replicas, weights=WEIGHTS)))
    return median(render for render, _ in took_s), median(reload for _, reload in took_s)
