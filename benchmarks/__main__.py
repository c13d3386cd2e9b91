"""`python -m benchmarks [startup|throughput|streams …] [-o json]`: all of it takes some seven minutes on two cores.

All figures of one table come from one run, and its rows were measured in turn, round after round: trust the ratios,
never an absolute time of a shared machine. Everything talks over loopback only.
"""

import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from finsight_serve.cli.output import Section, rendered
from finsight_serve.host import Host, env_for
from finsight_serve.plugin import Engine

from . import startup, streams, throughput
from .generator import choose_generator
from .load import Target
from .machine import bare_engine, ray_default_proxy, say, served, wait_until_ready

REAL, TOY = "smollm2", "toy"
PARTS = ("startup", "throughput", "streams")
VLLM_OPTIONS = {"max_model_len": 512, "gpu_memory_utilization": 0.1}
REPLICAS = 2
PROXIED = "nginx over 2 replicas"
DEFAULT_PROXY = "Ray's default proxy"


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@rendered
def main(parts: tuple[str, ...]) -> object:
    """Measure PARTS (all unless given) on this machine."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    started_s = time.monotonic()
    measures: dict[str, Callable[[Path], list[Section]]] = {
        "startup": lambda folder: [Section("wall time of commands", startup.measure())],
        "throughput": measure_throughput,
        "streams": measure_streams,
    }
    sections = []
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            if part in (parts or PARTS):
                say(part)
                sections += measures[part](Path(folder))
    return [*sections, Section("about this run", dict(describe(started_s)))]


def describe(started_s: float) -> Iterator[tuple[str, object]]:
    import psutil

    yield "cores", psutil.cpu_count()
    yield "memory_gib", round(psutil.virtual_memory().total / 2**30, 1)
    yield "system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    yield "load_average", round(psutil.getloadavg()[0], 2)
    yield "took_s", round(time.monotonic() - started_s)


def measure_throughput(folder: Path) -> list[Section]:
    generator = choose_generator()
    launch = engine("sim", {}, folder).launch("sim")
    policy = {"min_replicas": REPLICAS, "max_replicas": REPLICAS}
    deployment = {"name": "sim", "model": "sim", "engine": "sim", "policy": policy}
    with ExitStack() as started:
        say("starting Ray Serve, nginx and replicas")
        stack = started.enter_context(served([deployment], folder))
        bare = started.enter_context(bare_engine("one bare replica", launch, "sim", folder))
        proxy = started.enter_context(ray_default_proxy(REPLICAS, launch.asgi_argv, "sim", folder))
        wait_until_ready(bare)
        whole = replace(stack.whole_path("sim", "sim"), name=PROXIED)
        own_port = replace(stack.replicas("sim", "sim")[0], name="one replica's own port in Ray")
        targets = (whole, replace(proxy, name=DEFAULT_PROXY), own_port, bare)
        rows = throughput.measure(generator, targets, whole_path=PROXIED, default_proxy=DEFAULT_PROXY, cell_s=5.0)
    return [Section(f"requests/s, trivial engine, {throughput.CONNECTIONS} connections, by {generator.name}", rows)]


def measure_streams(folder: Path) -> list[Section]:
    real = engine("vllm", VLLM_OPTIONS, folder)
    real.prepare(REAL)
    toy_folder = folder / TOY
    checkpoint = real.launch(REAL).asgi_argv[1]
    say("making the toy model")
    argv = [sys.executable, "-m", "benchmarks.toy_model", str(toy_folder), checkpoint]
    subprocess.run(argv, check=True)
    models = {REAL: REAL, TOY: str(toy_folder)}
    deployments = [
        {"name": name, "model": model, "engine": "vllm", "engine_options": VLLM_OPTIONS}
        for name, model in models.items()
    ]
    rows = []
    with ExitStack() as started:
        say("loading each model twice: bare and in Ray Serve")
        bare: dict[str, Target] = {
            name: started.enter_context(bare_engine("bare vLLM", real.launch(model), real.served_model(model), folder))
            for name, model in models.items()
        }
        stack = started.enter_context(served(deployments, folder))
        for name, model in models.items():
            wait_until_ready(bare[name])
            served_name = real.served_model(model)
            (own_port,) = stack.replicas(name, served_name)
            targets = (bare[name], own_port, stack.whole_path(name, served_name))
            is_real = name == REAL
            rows += streams.measure(name, targets, cell_s=6.0 if is_real else 3.0, with_goal=is_real)
    return [Section(f"streams of {streams.OUTPUT_TOKENS} tokens, {streams.ROUNDS} rounds in turn", rows)]


def engine(name: str, options: Mapping[str, object], folder: Path) -> Engine:
    return Host().build("engine", name, options, env_for(folder / "engine", owner="", progress=say))


if __name__ == "__main__":
    main()
