"""docker-compose.scaling.yml as a project of its own, on a network and a port of its own; it ends with its user."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from finsight_serve.testing import find_free_port

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.scaling.yml"
DOWN_S = "10"


def lacking() -> str:
    """What this machine lacks for it, in words; "" where it lacks nothing."""
    if shutil.which("docker") is None:
        return "docker is missing"
    for words, what in ((("compose", "version"), "docker's compose plugin"), (("info",), "a Docker daemon")):
        if subprocess.run(["docker", *words], capture_output=True).returncode:
            return f"{what} is missing"
    return ""


@dataclass(frozen=True)
class State:
    pid: int  # of the main process on this machine; 0 while there is none
    started_at: str
    health: str
    address: str  # on the inner network


@dataclass(frozen=True)
class Project:
    settings: Mapping[str, str] = field(default_factory=dict)  # FS_… of the file
    name: str = field(default_factory=lambda: f"finsight-{secrets.token_hex(3)}")
    port: int = field(default_factory=find_free_port)
    network: str = field(default_factory=lambda: f"172.30.{secrets.randbelow(200)}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def engine(self) -> str:
        return {**os.environ, **self.settings}.get("FS_ENGINE", "vllm")

    def try_compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "FS_PORT": f"127.0.0.1:{self.port}", "FS_NETWORK": self.network, **self.settings}
        argv = ["docker", "compose", "-p", self.name, "-f", str(FILE), *words]
        return subprocess.run(argv, env=env, capture_output=True, text=True)

    def compose(self, *words: str) -> str:
        """What it printed. Raises `RuntimeError` with its last lines where it failed."""
        done = self.try_compose(*words)
        if done.returncode:
            raise RuntimeError(f"docker compose {' '.join(words)}: {done.stderr[-2000:]}")
        return done.stdout

    def fs(self, *words: str) -> str:
        return self.compose("exec", "-T", "controller", "fs", *words)

    def make_key(self) -> str:
        key: str = json.loads(self.fs("tenant", "rotate", "default", "-o", "json"))["key"]
        return key

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str) -> State:
        (found,) = json.loads(subprocess.check_output(["docker", "inspect", container]))
        state, networks = found["State"], found["NetworkSettings"]["Networks"]
        address = networks[f"{self.name}_inside"]["IPAddress"]
        return State(state["Pid"], state["StartedAt"], state["Health"]["Status"], address)


@contextmanager
def booted(**settings: str) -> Iterator[Project]:
    """Raises `RuntimeError` where it does not come up healthy."""
    project = Project(settings)
    try:
        project.compose("up", "--detach", "--wait")
        yield project
    finally:
        project.try_compose("down", "--volumes", "--timeout", DOWN_S)
