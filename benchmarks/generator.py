"""Requests per second: `wrk` where it is installed, else `load` in two processes."""

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from .load import Target, run_loops

PROCESSES = 2


@dataclass(frozen=True)
class Rate:
    requests_per_s: float
    failed: int
    client_cores: float | None  # CPU time of the load generator per second; None where it is not known


class OwnGenerator:
    name = f"own client (asyncio and httptools, {PROCESSES} processes)"

    def run(self, target: Target, body: Mapping[str, Any], *, connections: int, duration_s: float) -> Rate:
        share = connections // PROCESSES
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
            parts = [pool.submit(_run_share, target, dict(body), share, duration_s) for _ in range(PROCESSES)]
            done = [part.result() for part in parts]
        return Rate(
            sum(rate for rate, _, _ in done), sum(failed for _, failed, _ in done), sum(cores for _, _, cores in done)
        )


def _run_share(target: Target, body: dict[str, Any], connections: int, duration_s: float) -> tuple[float, int, float]:
    before_s = time.process_time()
    loops = asyncio.run(run_loops(target, lambda: body, connections=connections, duration_s=duration_s))
    used_s = time.process_time() - before_s
    failed = sum(not answer.good for loop in loops for answer in loop.answers)
    return sum(loop.rate_per_s for loop in loops), failed, used_s / duration_s


class Wrk:
    name = "wrk"

    def run(self, target: Target, body: Mapping[str, Any], *, connections: int, duration_s: float) -> Rate:
        payload = json.dumps({"model": target.model, **body})
        lines = (
            'wrk.method = "POST"',
            f"wrk.body = {json.dumps(payload)}",
            'wrk.headers["Content-Type"] = "application/json"',
            f'wrk.headers["Authorization"] = "Bearer {target.key}"',
        )
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "post.lua"  # a file, so that the key is in no process' arguments
            script.write_text("\n".join(lines))
            argv = ["wrk", f"-t{PROCESSES}", f"-c{connections}", f"-d{duration_s:.0f}s", "-s", str(script)]
            done = subprocess.run(
                [*argv, f"http://{target.address}/v1/completions"], capture_output=True, text=True, check=True
            )
        return parse_wrk(done.stdout)


def parse_wrk(report: str) -> Rate:
    """Raises `ValueError` where the report has no rate."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if rate is None:
        raise ValueError(f"wrk reported no rate: {report}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    failed = sum(int(count) for found in (refused, broken) if found for count in found.groups())
    return Rate(float(rate[1]), failed, None)


def choose_generator() -> OwnGenerator | Wrk:
    return Wrk() if shutil.which("wrk") else OwnGenerator()
