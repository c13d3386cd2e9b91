"""`python -m benchmarks.sim [-o json]`: what a simulation costs, in time and memory. A minute or two on two cores.

Each row is a process of its own, so that its peak memory is its own. The load comes at one rate, with a daily curve and
at random, for as long as the row's number of requests lasts; it is read from a CSV file, as `fs simulate` reads it.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from finsight_serve.cli.output import Section, rendered
from finsight_serve.domain import AutoscalingPolicy

from .machine import say

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
FORTNIGHT_S = 14 * 86400.0
BUSY_RPS = SIZES[-1] / FORTNIGHT_S
DAY_REQUESTS, DAY_GOAL_S = 10_000, 1.0
LARGE_GOAL_S, LARGE_GOAL_GB = 60.0, 2.0
BACKENDS = ("ray", "k8s-keda")
POLICY = AutoscalingPolicy(min_replicas=1, max_replicas=20, target_ongoing_requests=10, smoothing_factor=0.5)


@dataclass(frozen=True)
class Row:
    requests: int
    hours: float
    read_s: float
    ray_s: float
    keda_s: float
    us_per_request: float
    """Reading and both loops."""
    peak_gb: float
    goal: str = ""


@click.command()
@click.option("--one", type=click.Path(path_type=Path, exists=True), hidden=True)
@rendered
def main(one: Path | None) -> object:
    """Simulate a policy on both control loops at 10^4 to 10^7 requests."""
    if one is not None:
        return measure(one)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        day = _measured(DAY_REQUESTS, DAY_REQUESTS / 86400, Path(folder))
        took_s = day.ray_s + day.keda_s
        day = Row(**{**asdict(day), "goal": _goal(took_s < DAY_GOAL_S, f"both loops < {DAY_GOAL_S:g} s")})
        for requests in SIZES:
            row = _measured(requests, BUSY_RPS, Path(folder))
            if requests == SIZES[-1]:
                held = row.read_s + row.ray_s + row.keda_s < LARGE_GOAL_S and row.peak_gb < LARGE_GOAL_GB
                goal = _goal(held, f"all < {LARGE_GOAL_S:g} s and < {LARGE_GOAL_GB:g} GB")
                row = Row(**{**asdict(row), "goal": goal})
            rows.append(row)
    ratios = [
        {"requests": f"{less.requests:,} to {more.requests:,}", "cost": round(_cost_s(more) / _cost_s(less), 2)}
        for less, more in pairwise(rows)
    ]
    return [
        Section("24 hours of the reference load", [day]),
        Section(f"one rate, {BUSY_RPS:.3g} requests per second", rows),
        Section("ten times the requests cost, times", ratios),
    ]


def measure(path: Path) -> dict[str, Any]:
    """In this process, warm: libraries and what numba compiled or had cached are loaded before the clock starts."""
    import resource

    import numpy as np

    from finsight_serve.host import Host
    from finsight_serve.lab.extra import load
    from finsight_serve.lab.service import ServiceModel
    from finsight_serve.lab.simulation import simulate
    from finsight_serve.lab.trace import Trace, read_trace

    service, host, took_s = ServiceModel(service_s=5.0), Host(), {}
    for backend in BACKENDS:
        simulate(POLICY, Trace("warm", np.array([1.0, 2.0]), 0.0, ((0.0, 100.0),)), host.control_loop(backend), service)
    load("pandas")
    began_s = time.perf_counter()
    trace = read_trace(path)
    took_s["read"] = time.perf_counter() - began_s
    for backend in BACKENDS:
        began_s = time.perf_counter()
        outcome = simulate(POLICY, trace, host.control_loop(backend), service)
        took_s[backend] = time.perf_counter() - began_s
        assert outcome.served + outcome.waiting == len(trace)
    scale = 2**30 if sys.platform == "darwin" else 2**20
    row = Row(
        len(trace),
        round(trace.length_s / 3600, 2),
        *(round(took_s[name], 3) for name in ("read", *BACKENDS)),
        round(sum(took_s.values()) / len(trace) * 1e6, 3),
        round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale, 3),
    )
    return asdict(row)


def _measured(requests: int, rate_rps: float, folder: Path) -> Row:
    say(f"{requests:,} requests")
    path = folder / "trace.csv"
    write_load(path, requests, rate_rps)
    argv = [sys.executable, "-m", "benchmarks.sim", "--one", str(path), "-o", "json"]
    ran = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    return Row(**json.loads(ran.stdout))


def write_load(path: Path, requests: int, rate_rps: float) -> None:
    """Poisson arrivals, faster by half at noon than on average and slower by half at midnight."""
    import numpy as np

    random = np.random.default_rng(0)
    even_s = np.cumsum(random.exponential(1 / rate_rps, requests))
    at_s = even_s - 0.5 * 86400 / (2 * np.pi) * np.sin(2 * np.pi * even_s / 86400)
    with path.open("w") as file:
        file.write("arrival_s\n")
        for part in np.array_split(at_s, max(1, requests // 100_000)):
            file.write("\n".join(f"{one:.9f}" for one in part) + "\n")


def _cost_s(row: Row) -> float:
    return row.read_s + row.ray_s + row.keda_s


def _goal(held: bool, words: str) -> str:
    return f"{words}: {'held' if held else 'missed'}"


if __name__ == "__main__":
    main()
