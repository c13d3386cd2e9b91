"""`python -m benchmarks.agreement [--svg FILE]`: ten minutes of real Ray Serve beside the policy lab's own.

Streams of the sim engine come in at random, at a rate that changes every 100 s. The lab is given when each came and how
long it took, and how long replicas took to start; it must find by itself how many replicas Ray had, second by second.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import click
import httpx

from finsight_serve.cli.output import Section, rendered
from finsight_serve.controller.client import Client
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.host import Host
from finsight_serve.lab.outcome import Outcome
from finsight_serve.lab.service import ServiceModel
from finsight_serve.lab.simulation import simulate
from finsight_serve.lab.trace import Trace

from .load import Target
from .machine import Served, say, served

POLICY = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=8.0,
    upscale_delay_s=10.0,
    downscale_delay_s=40.0,
    smoothing_factor=0.5,
)
TOKENS, TOKEN_INTERVAL_S, LOAD_S = 20, 0.2, 5.0
ONGOING = (4, 18, 30, 10, 26, 2)
"""Streams open at a time, on average, in each sixth of the run."""
TAIL_CHARS = 200
SETTLE_S = 60.0
"""After the start, before anything is compared: Ray knows nothing of the time before either."""


@dataclass
class Observation:
    """What was seen, all times in seconds after `start_s` (Unix time)."""

    start_s: float = field(default_factory=time.time)
    requests: list[tuple[float, float]] = field(default_factory=list)
    """(arrival, seconds until its end)"""
    failures: list[tuple[float, str]] = field(default_factory=list)
    """(arrival, what came instead of a whole answer)"""
    replicas: list[tuple[float, int]] = field(default_factory=list)
    """(when, how many that start or serve)"""
    cold_start_s: float = 0.0

    def now_s(self) -> float:
        return time.time() - self.start_s


@click.command()
@click.option("--seconds", default=600.0, show_default=True, help="How long the load goes on.")
@click.option("--svg", type=click.Path(path_type=Path), help="Draw both over time.")
@rendered
def main(seconds: float, svg: Path | None) -> object:
    """Run real Ray Serve under a changing load, then the lab's loop over the same requests, and compare."""
    with tempfile.TemporaryDirectory() as folder, served([deployment()], Path(folder)) as stack:
        say(f"{seconds:g} s of load on real Ray Serve")
        seen = asyncio.run(observe(stack, seconds))
    say("simulating the same requests")
    outcome = simulate(POLICY, trace_of(seen, seconds), ray_loop(), service_of(seen))
    times_s = range(int(SETTLE_S), int(seconds))
    real = [held_at(seen.replicas, at_s) for at_s in times_s]
    lab = [held_at(steps_of(outcome), at_s) for at_s in times_s]
    equal = sum(a == b for a, b in zip(real, lab, strict=True))
    if svg:
        draw(svg, list(times_s), real, lab, [open_at(seen.requests, at_s) for at_s in times_s])
    row = {
        "requests": len(seen.requests),
        "failed": len(seen.failures),
        "seconds": len(real),
        "equal_share": round(equal / len(real), 4),
        "within_one_share": round(sum(abs(a - b) <= 1 for a, b in zip(real, lab, strict=True)) / len(real), 4),
        "replica_seconds_real": sum(real),
        "replica_seconds_lab": sum(lab),
        "changes_real": changes(real),
        "changes_lab": changes(lab),
        "cold_start_s": round(seen.cold_start_s, 1),
    }
    return [Section("replicas of real Ray Serve and of the lab's loop", [row]), Section("what failed", failed(seen))]


def failed(seen: Observation) -> list[dict[str, object]]:
    return [{"at_s": round(at_s, 1), "what": what} for at_s, what in seen.failures]


def deployment() -> dict[str, object]:
    names = ("min_replicas", "max_replicas", "target_ongoing_requests", "upscale_delay_s", "downscale_delay_s")
    policy = {name: getattr(POLICY, name) for name in (*names, "smoothing_factor")}
    options = {"token_interval_s": TOKEN_INTERVAL_S, "load_s": LOAD_S}
    return {"name": "sim", "model": "sim", "engine": "sim", "engine_options": options, "policy": policy}


async def observe(stack: Served, seconds: float) -> Observation:
    target = stack.whole_path("sim", "sim")
    seen = Observation()
    draws = random.Random(20261124)
    async with httpx.AsyncClient(trust_env=False, timeout=120, limits=httpx.Limits(max_connections=None)) as http:
        watch = asyncio.create_task(watch_replicas(stack, seen))
        streams = set()
        while (now_s := seen.now_s()) < seconds:
            streams.add(asyncio.create_task(ask(http, target, seen)))
            ongoing = ONGOING[int(now_s * len(ONGOING) / seconds)]
            await asyncio.sleep(draws.expovariate(ongoing / (TOKENS * TOKEN_INTERVAL_S)))
        await asyncio.gather(*streams)
        watch.cancel()
    return seen


async def ask(http: httpx.AsyncClient, target: Target, seen: Observation) -> None:
    arrival_s = seen.now_s()
    body = {"model": target.model, "prompt": "Hello", "max_tokens": TOKENS, "stream": True}
    headers = {"Authorization": f"Bearer {target.key}"}
    answer = await http.post(f"http://{target.address}/v1/completions", json=body, headers=headers)
    if not (text := answer.text.rstrip()).endswith("[DONE]"):
        seen.failures.append((arrival_s, f"HTTP {answer.status_code} {text[-TAIL_CHARS:]}"))
    seen.requests.append((arrival_s, seen.now_s() - arrival_s))


async def watch_replicas(stack: Served, seen: Observation) -> None:
    client = Client(stack.folder)
    while True:
        status = await asyncio.to_thread(client.status)
        if status is not None:
            seen.replicas.append((seen.now_s(), sum(r.state in ("starting", "ready") for r in status.replicas)))
            seen.cold_start_s = status.deployments[0].cold_start_s or seen.cold_start_s
        await asyncio.sleep(0.5)


def trace_of(seen: Observation, seconds: float) -> Trace:
    import numpy as np

    arrivals, lengths = zip(*sorted(seen.requests), strict=True)
    return Trace(
        name="observed",
        arrival_s=np.array(arrivals),
        start_s=seen.start_s,
        spans=((0.0, seconds),),
        service_s=np.array(lengths, dtype=np.float32),
    )


def service_of(seen: Observation) -> ServiceModel:
    return ServiceModel(max_concurrency=256, cold_start_s=seen.cold_start_s)


def ray_loop():  # type: ignore[no-untyped-def]
    loop = Host().control_loop("ray")
    assert loop is not None
    return loop


def steps_of(outcome: Outcome) -> list[tuple[float, int]]:
    return list(zip(outcome.series.t_s.tolist(), outcome.series.target.tolist(), strict=True))


def held_at(steps: Sequence[tuple[float, int]], at_s: float) -> int:
    """The count of the last step that is not after `at_s`."""
    return max((step for step in steps if step[0] <= at_s), default=steps[0], key=lambda step: step[0])[1]


def open_at(requests: Sequence[tuple[float, float]], at_s: float) -> int:
    return sum(arrival_s <= at_s < arrival_s + length_s for arrival_s, length_s in requests)


def changes(counts: Sequence[int]) -> int:
    return sum(a != b for a, b in pairwise(counts))


def draw(file: Path, times_s: list[int], real: list[int], lab: list[int], ongoing: list[int]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    load, count = figure.subplots(2, sharex=True, height_ratios=(1, 1.4))
    load.fill_between(times_s, ongoing, step="post", color="tab:gray", alpha=0.5)
    load.set_ylabel("open streams")
    count.step(times_s, real, where="post", label="real Ray Serve", color="tab:blue", linewidth=2)
    count.step(times_s, lab, where="post", label="policy lab", color="tab:orange", linestyle="--", linewidth=2)
    count.set(xlabel="seconds", ylabel="replicas", ylim=(0, POLICY.max_replicas + 0.5))
    count.legend(loc="upper right")
    figure.savefig(file, metadata={"Date": None, "Title": "Replicas of real Ray Serve and of the policy lab"})


if __name__ == "__main__":
    main()
