"""Requests per second: `wrk` where it is installed, else `load` in two processes."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from typing import Any

from .load import Target, run_loops

PROCESSES = 2
UNIT_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Rate:
    requests_per_s: float
    failed: int
    client_cores: float | None  # CPU time of the load generator per second; None where it is not known
    p50_ms: float | None = None  # of whole answers; None where it is not known
    p99_ms: float | None = None


class OwnGenerator:
    name = f"own client (asyncio and httptools, {PROCESSES} processes)"

    def run(self, target: Target, body: Mapping[str, Any], *, connections: int, duration_s: float) -> Rate:
        processes = min(PROCESSES, connections)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            share = connections // processes
            parts = [pool.submit(_run_share, target, dict(body), share, duration_s) for _ in range(processes)]
            done = [part.result() for part in parts]
        middle_ms, late_ms = _percentiles_ms([took_s for part in done for took_s in part.took_s])
        return Rate(
            sum(part.requests_per_s for part in done),
            sum(part.failed for part in done),
            sum(part.client_cores for part in done),
            middle_ms,
            late_ms,
        )


@dataclass(frozen=True)
class _Share:
    requests_per_s: float
    failed: int
    client_cores: float
    took_s: list[float]


def _run_share(target: Target, body: dict[str, Any], connections: int, duration_s: float) -> _Share:
    before_s = time.process_time()
    loops = asyncio.run(run_loops(target, lambda: body, connections=connections, duration_s=duration_s))
    used_s = time.process_time() - before_s
    failed = sum(not answer.good for loop in loops for answer in loop.answers)
    # From one answer's end to the next one's: the client's own time is in it, but no time goes missing.
    took_s = [after.ended_s - before.ended_s for loop in loops for before, after in pairwise(loop.answers)]
    return _Share(sum(loop.rate_per_s for loop in loops), failed, used_s / duration_s, took_s)


def _percentiles_ms(took_s: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """The 50th and the 99th; of fewer than two there is none."""
    if len(took_s) < 2:
        return None, None
    cuts_s = quantiles(took_s, n=100, method="inclusive")
    return cuts_s[49] * 1000, cuts_s[98] * 1000


class Wrk:
    name = "wrk"

    def __init__(self, threads: int = PROCESSES) -> None:
        self._threads = threads

    def run(self, target: Target, body: Mapping[str, Any], *, connections: int, duration_s: float) -> Rate:
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "post.lua"  # a file, so that no key is in a process' arguments
            script.write_text(_lua(target, body))
            sizes = [f"-t{min(self._threads, connections)}", f"-c{connections}", f"-d{duration_s:.0f}s"]
            argv = ["wrk", *sizes, "--latency", "-s", str(script), f"http://{target.address}{target.path}"]
            done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return parse_wrk(done.stdout)


def _lua(target: Target, body: Mapping[str, Any]) -> str:
    """Each request is formatted once, before the clock starts."""
    keys = ", ".join(f'"{key}"' for key in (target.key, *target.more_keys))
    return f"""
wrk.method = "POST"
wrk.body = {json.dumps(json.dumps({"model": target.model, **body}))}
wrk.headers["Content-Type"] = "application/json"
local requests, turn = {{}}, 0
init = function()
    for number, key in ipairs({{{keys}}}) do
        wrk.headers["Authorization"] = "Bearer " .. key
        requests[number] = wrk.format()
    end
end
request = function()
    turn = turn % #requests + 1
    return requests[turn]
end
"""


def parse_wrk(report: str) -> Rate:
    """Raises `ValueError` where the report has no rate."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if rate is None:
        raise ValueError(f"wrk reported no rate: {report}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    failed = sum(int(count) for found in (refused, broken) if found for count in found.groups())
    return Rate(float(rate[1]), failed, None, _percentile_ms(report, 50), _percentile_ms(report, 99))


def _percentile_ms(report: str, percent: int) -> float | None:
    found = re.search(rf"^ +{percent}% +([\d.]+)(us|ms|s|m)$", report, re.MULTILINE)
    return round(float(found[1]) * UNIT_MS[found[2]], 4) if found else None


def choose_generator(threads: int | None = None) -> OwnGenerator | Wrk:
    """`threads`: of wrk; as many as our own client has processes unless given."""
    return Wrk(threads or PROCESSES) if shutil.which("wrk") else OwnGenerator()
