"""`python -m benchmarks.overload [--svg FILE] [-o json]`: goodput at 1 to 10 times the capacity. Some five minutes.

Real nginx, as the plugin renders it, before one sim engine of a fixed capacity. Five tenants ask without waiting for
each other (Poisson): one asks for little whatever the others do, three for more, one floods. Each load runs without and
with shedding; what is shed is shed by the default bound.
"""

import asyncio
import re
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import httpx
import psutil

from finsight_serve.cli.output import Section, rendered
from finsight_serve.controller.routing import TIMES_ITS_TARGET
from finsight_serve.host import Host, env_for
from finsight_serve.plugin import Limits, RouteTable

from . import market_open
from .__main__ import describe
from .cores import listeners
from .load import Target
from .machine import bare_engine, say, wait_until_ready
from .open_loop import ask, run_open_loop
from .overload_figures import Cell, OverloadRow, overload_rows
from .tenanted import Ours, ours, route_table, tenants

PLACES, TOKENS, TTFT_S, INTERVAL_S, BATCH_INTERVAL_S = 8, 16, 0.05, 0.02, 0.002
ENGINE = {
    "max_num_seqs": PLACES,
    "ttft_s": TTFT_S,
    "token_interval_s": INTERVAL_S,
    "batch_token_interval_s": BATCH_INTERVAL_S,
}
CAPACITY_PER_S = PLACES / (TTFT_S + (TOKENS - 1) * (INTERVAL_S + (PLACES - 1) * BATCH_INTERVAL_S))
TARGET_ONGOING_REQUESTS = 3
BOUND = TIMES_ITS_TARGET * TARGET_ONGOING_REQUESTS
OBJECTIVE_S = 2.0
PATIENCE_S = 10.0
TIMES = (1.0, 2.0, 5.0, 10.0)
SETTLE_S, COUNTED_S = 6.0, 15.0
BODY = {"prompt": "now", "max_tokens": TOKENS, "stream": True}
DEPLOYMENT = "chat"
OPENING = (
    f"market open at 9:00 in the policy lab: {market_open.BURST_RATE_PER_S:g} requests/s for a quarter of an hour, "
    f"where a replica answers {market_open.REPLICA.max_concurrency / market_open.REPLICA.service_s:.1f} and starts in "
    f"{market_open.REPLICA.cold_start_s:g} s"
)
QUIET_SHARE, BUSY_SHARE = 0.05, 0.15
"""The quiet tenant asks for so much of the capacity; each busy one for so much of the load."""
IDLE_TTFT_S = 5 * TTFT_S
"""An answer that begins within this has waited for nobody."""


@click.command()
@click.option("--svg", type=click.Path(path_type=Path), help="Draw goodput and waits over the load.")
@rendered
def main(svg: Path | None) -> object:
    """Measure goodput under overload, without and with shedding, in one run."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fs-bench-", dir="/tmp") as folder:  # short: it holds unix sockets
        cells = measure(Path(folder))
    rows = overload_rows(cells, OBJECTIVE_S, quiet="quiet")
    if svg:
        draw(svg, rows)
    about = {**dict(describe(started_s)), "capacity_per_s": round(CAPACITY_PER_S, 1), "bound": BOUND}
    title = (
        f"one replica of {CAPACITY_PER_S:.1f} answers/s ({PLACES} places), {len(NAMES)} tenants, "
        f"bound {BOUND} (target {TARGET_ONGOING_REQUESTS}); good: whole, and begun within {OBJECTIVE_S:g} s"
    )
    say("the market opens, in the policy lab")
    opening = list(market_open.measure())
    return [Section(title, rows), Section(OPENING, opening), Section("about this run", about)]


NAMES = ("quiet", "busy 1", "busy 2", "busy 3", "flood")


def rates_per_s(times: float) -> Mapping[str, float]:
    quiet, busy, whole = QUIET_SHARE * CAPACITY_PER_S, BUSY_SHARE * times * CAPACITY_PER_S, times * CAPACITY_PER_S
    return dict(zip(NAMES, (quiet, busy, busy, busy, whole - quiet - 3 * busy), strict=True))


@dataclass(frozen=True)
class Bench:
    running: Ours
    engine: Target
    targets: Mapping[str, Target]

    def memory_mib(self) -> tuple[float, float]:
        """Resident: of nginx' processes, and of the engine's."""
        return resident_mib(self.running.address), resident_mib(self.engine.address)


def resident_mib(address: str) -> float:
    return float(sum(psutil.Process(pid).memory_info().rss for pid in listeners(address)) / 2**20)


def measure(folder: Path) -> list[Cell]:
    launch = Host().build("engine", "sim", ENGINE, env_for(folder / "engine", owner="", progress=say)).launch("sim")
    who = [replace(tenant, limits=Limits()) for tenant in tenants(len(NAMES))]
    cells = []
    with bare_engine("sim", launch, "sim", folder) as engine:
        wait_until_ready(engine)
        unbounded = route_table(who, [engine.address], weights={DEPLOYMENT: 100})
        bounded = replace(unbounded, max_ongoing_requests={DEPLOYMENT: BOUND})
        with ours(unbounded, folder / "nb", workers=1, with_ledger=False) as running:
            targets = [Target(tenant.name, running.address, "sim", tenant.key) for tenant in who]
            bench = Bench(running, engine, dict(zip(NAMES, targets, strict=True)))
            for times in TIMES:
                cells += [_cell(bench, table, times) for table in (unbounded, bounded)]
    return cells


def _cell(bench: Bench, table: RouteTable, times: float) -> Cell:
    sheds = bool(table.max_ongoing_requests)
    say(f"{times:g} times the capacity, {'with' if sheds else 'without'} shedding")
    bench.running.apply(table)
    return asyncio.run(_load(bench, times, sheds))


async def _load(bench: Bench, times: float, sheds: bool) -> Cell:
    before = bench.memory_mib()
    waiting: list[int] = []
    looking = asyncio.create_task(_watch_queue(bench.engine, waiting))
    sent = await run_open_loop(
        bench.targets,
        rates_per_s(times),
        BODY,
        duration_s=SETTLE_S + COUNTED_S,
        patience_s=PATIENCE_S,
        seed=int(times),
    )
    recovered_s = await _recover(bench.targets["quiet"])
    done = await asyncio.gather(*sent)
    looking.cancel()
    await asyncio.wait([looking])
    after = bench.memory_mib()
    return Cell(
        times,
        sheds,
        [one for one in done if one.at_s >= SETTLE_S],
        COUNTED_S,
        max(waiting, default=0),
        after[0] - before[0],
        after[1] - before[1],
        recovered_s,
    )


async def _watch_queue(engine: Target, waiting: list[int]) -> None:
    """How many wait in the engine, twice a second, as it says itself."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
        while True:
            text = (await http.get(f"http://{engine.address}/metrics")).text
            waiting += [int(float(one)) for one in re.findall(r"^vllm:num_requests_waiting\S* (\S+)$", text, re.M)]
            await asyncio.sleep(0.5)


async def _recover(target: Target) -> float:
    """Seconds until a request is sent that waits for nobody."""
    ended_s = time.perf_counter()
    while True:
        at_s = time.perf_counter() - ended_s
        seen = await ask(target, target.request(BODY), target.name, at_s, PATIENCE_S)
        if seen.became == "whole" and seen.ttft_s is not None and seen.ttft_s <= IDLE_TTFT_S:
            return at_s
        if at_s > 60:
            raise click.ClickException(f"the engine has not recovered within {at_s:.0f} s")
        await asyncio.sleep(0.05)


def draw(file: Path, rows: Sequence[OverloadRow]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    goodput, waits = figure.subplots(1, 2)
    for shedding, colour, line in (("on", "tab:blue", "-"), ("off", "tab:orange", "--")):
        of_one = [row for row in rows if row.shedding == shedding]
        loads, label = [row.load for row in of_one], f"shedding {shedding}"
        goodput.plot(loads, [row.goodput_per_s for row in of_one], line, marker="o", color=colour, label=label)
        waits.plot(loads, [row.ttft_p99_s for row in of_one], line, marker="o", color=colour, label=label)
    goodput.axhline(CAPACITY_PER_S, color="tab:gray", linewidth=1, label="capacity")
    goodput.set(xlabel="offered, of the capacity", ylabel="good answers per second", ylim=(0, None))
    waits.axhline(OBJECTIVE_S, color="tab:gray", linewidth=1, label="objective")
    waits.set(xlabel="offered, of the capacity", ylabel="time to first token of answers, p99 (s)", ylim=(0, None))
    for axes in (goodput, waits):
        axes.legend()
    title = "Goodput and waits under overload, without and with shedding"
    figure.savefig(file, metadata={"Date": None, "Title": title})


if __name__ == "__main__":
    main()
