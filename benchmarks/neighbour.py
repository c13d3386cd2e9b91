"""Does a tenant that floods slow another? Both share an engine that generates a few answers at the same time."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

from finsight_serve.host import Host, env_for
from finsight_serve.plugin import Limits, RouteTable

from .cores import Cores, on
from .load import Target, run_loops
from .machine import bare_engine, say, wait_until_ready
from .tenanted import ours, route_table, tenants
from .tenants_figures import Meanwhile

SLOTS = 8
ENGINE = {"max_num_seqs": SLOTS, "ttft_s": 0.02, "token_interval_s": 0.005}
FLOOD, LIMIT = 64, 4
BODY = {"prompt": "now", "max_tokens": 8, "stream": True}
ALONE = "does nothing"
LIMITED = f"floods from {FLOOD} connections, max_ongoing_requests {LIMIT}"
UNLIMITED = f"floods from {FLOOD} connections, no limit"


def measure(folder: Path, cores: Cores, *, rounds: int, cell_s: float) -> dict[str, Meanwhile]:
    launch = Host().build("engine", "sim", ENGINE, env_for(folder / "engine", owner="", progress=say)).launch("sim")
    noisy, quiet = tenants(2)
    weights = {"shared": 100}
    seen: dict[str, list[Meanwhile]] = {ALONE: [], LIMITED: [], UNLIMITED: []}
    with on(cores.load), bare_engine("sim", launch, "sim", folder) as engine:
        wait_until_ready(engine)

        def table(limit: int | None) -> RouteTable:
            a = replace(noisy, limits=Limits(max_ongoing_requests=limit))
            return route_table([a, replace(quiet, limits=Limits())], [engine.address], weights=weights)

        with ExitStack() as started:
            with on(cores.routers):
                running = started.enter_context(ours(table(LIMIT), folder / "nb", workers=cores.workers))
            b = replace(running.target("B", [quiet]), path="/v1/completions")
            a = replace(running.target("A", [noisy]), path="/v1/completions")
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                for situation, of_one in seen.items():
                    running.apply(table(None if situation == UNLIMITED else LIMIT))
                    of_one.append(_situation(a if situation != ALONE else None, b, cell_s))
    return {name: _together(of_one) for name, of_one in seen.items()}


def _situation(a: Target | None, b: Target, cell_s: float) -> Meanwhile:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_yield_to_others) as pool:
        pool.submit(str).result()  # it has imported everything before B's clock starts
        flood = pool.submit(_flood, a, cell_s) if a else None
        loops = asyncio.run(run_loops(b, lambda: BODY, connections=1, duration_s=cell_s))
        served, refused = flood.result() if flood else (0, 0)
    answers = [answer for loop in loops for answer in loop.answers]
    good = [answer.ttft_s for answer in answers if answer.good]
    return Meanwhile(good, len(answers) - len(good), served / cell_s, refused / cell_s)


def _yield_to_others() -> None:
    """A's client shares cores with B's: what B waits for must be the server, not A's client."""
    os.nice(10)


def _flood(a: Target, cell_s: float) -> tuple[int, int]:
    loops = asyncio.run(run_loops(a, lambda: BODY, connections=FLOOD, duration_s=cell_s))
    answers = [answer for loop in loops for answer in loop.answers]
    served = sum(answer.good for answer in answers)
    return served, len(answers) - served


def _together(of_one: Sequence[Meanwhile]) -> Meanwhile:
    return Meanwhile(
        [ttft_s for one in of_one for ttft_s in one.ttft_s],
        sum(one.failed for one in of_one),
        fmean(one.a_served_per_s for one in of_one),
        fmean(one.a_refused_per_s for one in of_one),
    )
