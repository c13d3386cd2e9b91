"""`python -m benchmarks.side_by_side [--svg FILE]`: one load and one policy on real Ray Serve and real KEDA at once.

Every stream is sent to both, each a stack of its own behind nginx with the sim engine. The policy lab then simulates
either backend over the same arrivals. 15 minutes, and a machine that can hold a Kubernetes cluster.
"""

import asyncio
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import httpx

from finsight_serve.cli.output import Section, rendered
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.host import Host
from finsight_serve.lab.simulation import simulate
from finsight_serve_k8s_keda.autoscaler import KedaControlLoop
from finsight_serve_k8s_keda.options import Options

from . import kubernetes
from .agreement import (
    Observation,
    ask,
    changes,
    failed,
    held_at,
    open_at,
    service_of,
    steps_of,
    trace_of,
    watch_replicas,
)
from .disagreements import SYNC_S, disagreements, equal_share, seconds_by_cause
from .machine import Served, say, served

POLICY = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=10.0,
    upscale_delay_s=10.0,
    downscale_delay_s=60.0,
    smoothing_factor=0.5,
)
"""The record's default with shorter delays."""
TOKENS, TOKEN_INTERVAL_S, LOAD_S = 20, 0.2, 3.0
ONGOING = (5, 44, 15, 44, 5)
"""Streams open at a time, on average, in each fifth of the run: off the thresholds, where chance alone decides."""
SETTLE_S = 60.0
RAY, KEDA = "ray", "k8s-keda"


@click.command()
@click.option("--seconds", default=900.0, show_default=True, help="How long the load goes on.")
@click.option("--svg", type=click.Path(path_type=Path), help="Draw all counts over time.")
@rendered
def main(seconds: float, svg: Path | None) -> object:
    """Send the same streams to Ray Serve and to KEDA, and compare how many replicas each had."""
    with (
        tempfile.TemporaryDirectory() as folder,
        kubernetes.cluster() as cluster,
        cluster.namespace() as namespace,
        served([deployment()], Path(folder), RAY) as on_ray,
        served([deployment()], Path(folder), KEDA, kubernetes.backend(cluster, namespace)) as on_keda,
    ):
        say(f"{seconds:g} s of load on both")
        seen = asyncio.run(observe({RAY: on_ray, KEDA: on_keda}, seconds))
    say("simulating the same requests")
    times_s = range(int(SETTLE_S), int(seconds))
    real = {name: [held_at(one.replicas, at_s) for at_s in times_s] for name, one in seen.items()}
    lab = {name: predict(name, one, seconds, times_s) for name, one in seen.items()}
    if svg:
        draw(svg, list(times_s), real, lab, [open_at(seen[KEDA].requests, at_s) for at_s in times_s])
    found = list(disagreements(real[RAY], real[KEDA]))
    return [
        Section("one load on both backends", [row(name, seen[name], real[name], lab[name]) for name in (RAY, KEDA)]),
        Section("what failed", [{"backend": name, **one} for name in (RAY, KEDA) for one in failed(seen[name])]),
        Section(
            "Ray Serve and KEDA",
            [{"seconds": len(times_s), "equal_share": round(equal_share(real[RAY], real[KEDA]), 4)}],
        ),
        Section(
            "why they differed",
            [{"cause": cause, "seconds": seconds} for cause, seconds in seconds_by_cause(found).items()],
        ),
        Section(
            "each time that they differed",
            [
                {"from_s": one.start_s + int(SETTLE_S), "to_s": one.end_s + int(SETTLE_S), "cause": one.cause}
                for one in found
            ],
        ),
    ]


def deployment() -> dict[str, Any]:
    names = ("min_replicas", "max_replicas", "target_ongoing_requests", "upscale_delay_s", "downscale_delay_s")
    policy = {name: getattr(POLICY, name) for name in (*names, "smoothing_factor")}
    options = {"token_interval_s": TOKEN_INTERVAL_S, "load_s": LOAD_S}
    return {"name": "sim", "model": "sim", "engine": "sim", "engine_options": options, "policy": policy}


async def observe(stacks: Mapping[str, Served], seconds: float) -> Mapping[str, Observation]:
    """Every stream begins on all of them at once."""
    first = Observation()
    seen = {
        name: first if place == 0 else replace(first, requests=[], failures=[], replicas=[])
        for place, name in enumerate(stacks)
    }
    draws = random.Random(20261124)
    async with httpx.AsyncClient(trust_env=False, timeout=120, limits=httpx.Limits(max_connections=None)) as http:
        watches = [asyncio.create_task(watch_replicas(stack, seen[name])) for name, stack in stacks.items()]
        streams = set()
        while (now_s := first.now_s()) < seconds:
            for name, stack in stacks.items():
                streams.add(asyncio.create_task(ask(http, stack.whole_path("sim", "sim"), seen[name])))
            ongoing = ONGOING[int(now_s * len(ONGOING) / seconds)]
            await asyncio.sleep(draws.expovariate(ongoing / (TOKENS * TOKEN_INTERVAL_S)))
        await asyncio.gather(*streams)
        for watch in watches:
            watch.cancel()
    return seen


def predict(name: str, seen: Observation, seconds: float, times_s: Sequence[int]) -> list[int]:
    """The lab's counts for the same requests. An HPA's syncs are a matter of when it was made: taken from its first
    change, by letting the lab begin that much earlier."""
    loop: Any = Host().control_loop(name)
    ahead_s = 0.0
    if name == KEDA:
        loop = KedaControlLoop(Options(scrape_interval_s=kubernetes.SCRAPE_S, hpa_tolerance=True))
        ahead_s = -first_change_s(seen.replicas) % SYNC_S
    earlier = replace(
        seen, start_s=seen.start_s - ahead_s, requests=[(at + ahead_s, long) for at, long in seen.requests]
    )
    outcome = simulate(POLICY, trace_of(earlier, seconds + ahead_s), loop, service_of(seen))
    steps = steps_of(outcome)
    return [held_at(steps, at_s + ahead_s) for at_s in times_s]


def first_change_s(steps: Sequence[tuple[float, int]]) -> float:
    """0.0 where the count stayed."""
    return next((later[0] for earlier, later in pairwise(steps) if later[1] != earlier[1]), 0.0)


def row(name: str, seen: Observation, real: Sequence[int], lab: Sequence[int]) -> dict[str, Any]:
    return {
        "backend": name,
        "requests": len(seen.requests),
        "failed": len(seen.failures),
        "as_the_lab_said": round(equal_share(real, lab), 4),
        "replica_seconds": sum(real),
        "replica_seconds_lab": sum(lab),
        "changes": changes(real),
        "changes_lab": changes(lab),
        "cold_start_s": round(seen.cold_start_s, 1),
    }


def draw(
    file: Path,
    times_s: Sequence[int],
    real: Mapping[str, Sequence[int]],
    lab: Mapping[str, Sequence[int]],
    ongoing: Sequence[int],
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    load, *rows = figure.subplots(3, sharex=True, height_ratios=(1, 1.2, 1.2))
    load.fill_between(times_s, ongoing, step="post", color="tab:gray", alpha=0.5)
    load.set_ylabel("open streams")
    for axes, (name, title) in zip(rows, {RAY: "Ray Serve", KEDA: "KEDA"}.items(), strict=True):
        axes.step(times_s, real[name], where="post", label=f"real {title}", color="tab:blue", linewidth=2)
        axes.step(times_s, lab[name], where="post", label="policy lab", color="tab:orange", linestyle="--", linewidth=2)
        axes.set(ylabel="replicas", ylim=(0, POLICY.max_replicas + 0.5))
        axes.legend(loc="upper right")
    rows[-1].set_xlabel("seconds")
    figure.savefig(file, metadata={"Date": None, "Title": "Replicas of real Ray Serve and of real KEDA, one load"})


if __name__ == "__main__":
    main()
