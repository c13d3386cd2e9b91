"""What is started for a measurement, each ended again however the measurement ends."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx

from finsight_serve.plugin import Launch
from finsight_serve.testing import find_free_port

from .load import Target

START_S = 300.0
KEY_LINE = re.compile(r"Key +(?P<key>\S+) +\(tenant (?P<tenant>[^;]+);")  # of what `fs serve` prints once it is ready


def say(line: str) -> None:
    click.echo(f"  {line}", err=True)


@contextmanager
def process(
    argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, talks: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """`talks`: its standard output is read by the caller; else it goes to the log too."""
    with log.open("a") as output:
        running = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if talks else output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        assert running.stdin
        running.stdin.close()
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdout:
            running.stdout.close()


@contextmanager
def bare_engine(name: str, launch: Launch, model: str, folder: Path) -> Iterator[Target]:
    """The engine's own process, not waited for; `wait_until_ready` does that."""
    port = find_free_port()
    argv = [part.replace("{host}", "127.0.0.1").replace("{port}", str(port)) for part in launch.argv]
    log = folder / f"{name.replace(' ', '-')}-{port}.log"
    with process([*argv], log, env=launch.env):
        yield Target(name, f"127.0.0.1:{port}", model)


def wait_until_ready(
    target: Target, deadline_s: float = START_S, is_running: Callable[[], bool] = lambda: True
) -> None:
    """Raises `click.ClickException` if it does not answer in time, or ends."""
    end_s = time.monotonic() + deadline_s
    with httpx.Client(trust_env=False, timeout=5) as http:
        while time.monotonic() < end_s and is_running():
            try:
                if http.get(f"http://{target.address}/health").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
    raise click.ClickException(f"{target.name} did not answer at {target.address} within {deadline_s:g} s")


@contextmanager
def ray_default_proxy(replicas: int, argv: Sequence[str], model: str, folder: Path) -> Iterator[Target]:
    port = find_free_port()
    token = folder / "auth_token"
    token.write_text(os.urandom(32).hex())
    env = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "180",
    }
    command = [sys.executable, "-m", "benchmarks.ray_proxy", str(port), str(replicas), *argv]
    log = folder / "ray-proxy.log"
    with process(command, log, env=env) as running:
        assert running.stdout and running.stdin
        if not any(line.strip() == "ready" for line in iter(running.stdout.readline, "")):
            raise click.ClickException(f"Ray's proxy did not start:\n{log.read_text()[-2000:]}")
        yield Target("Ray's default proxy", f"127.0.0.1:{port}", model)
        running.stdin.close()  # it ends by itself, and Ray with it
        running.wait(60)


@dataclass(frozen=True)
class Served:
    """A running stack whose every deployment has a tenant of the same name."""

    folder: Path
    address: str
    keys: Mapping[str, str]  # tenant → API key

    def whole_path(self, deployment: str, model: str) -> Target:
        return Target("whole path", self.address, model, self.keys[deployment])

    def replicas(self, deployment: str, model: str) -> list[Target]:
        """Each ready replica's own port."""
        from finsight_serve.controller.client import Client
        from finsight_serve.controller.memory import recall
        from finsight_serve.store import Store

        status = Client(self.folder).status()
        assert status is not None
        store = Store(self.folder, read_only=True)
        key = recall(store).durable.replica_keys[deployment].previous
        store.close()
        ready = [replica for replica in status.replicas if (replica.deployment, replica.state) == (deployment, "ready")]
        return [Target("the replica's own port", replica.address, model, key) for replica in ready]


@contextmanager
def served(
    deployments: Sequence[Mapping[str, Any]],
    folder: Path,
    backend: str = "ray",
    options: Mapping[str, Any] | None = None,
) -> Iterator[Served]:
    """`fs serve` over these deployments, until `fs down`. `options`: of the backend, and which orchestrator it is."""
    address = f"127.0.0.1:{find_free_port()}"
    stack = {
        "name": "bench",
        **({"backends": {backend: dict(options)}} if options else {}),
        "load_balancer": {"plugin": "nginx", "listen": address},
        "deployments": list(deployments),
        "tenants": [{"name": item["name"], "deployment": item["name"]} for item in deployments],
    }
    file = folder / f"{backend}.yaml"
    file.write_text(json.dumps(stack))
    with tempfile.TemporaryDirectory(prefix="fs-bench-", dir="/tmp") as short:  # it holds a unix socket
        where = ["--file", str(file), "--state", f"{short}/state"]
        fs = [sys.executable, "-m", "finsight_serve"]
        try:
            done = subprocess.run(
                [*fs, "serve", *where, "--backend", backend, "--detach"], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise click.ClickException(f"fs serve failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
            keys = {found["tenant"]: found["key"] for found in KEY_LINE.finditer(done.stdout)}
            yield Served(Path(short) / "state", address, keys)
        finally:
            subprocess.run([*fs, "down", *where], stdout=subprocess.DEVNULL, check=False)
