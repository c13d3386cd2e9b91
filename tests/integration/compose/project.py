"""docker-compose.scaling.yml as a project of its own, on a network and a port of its own; it ends with its user."""

import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from finsight_serve.testing import find_free_port

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.scaling.yml"
UP_S, COMMAND_S, STOP_S = 900, 120, 10
TAKEN = "Pool overlaps"
"""What Docker says of a network that another project has."""
NETWORKS = itertools.count(os.getpid() % 100)


def lacking() -> str:
    """What this machine lacks for it, in words; "" where it lacks nothing."""
    if os.geteuid() != 0:
        return "root, who may end a container's process, is missing"
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
    port: int = field(default_factory=find_free_port)
    number: int = field(default_factory=lambda: next(NETWORKS))

    @property
    def name(self) -> str:
        return f"finsight-{os.getpid()}-{self.number}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def engine(self) -> str:
        return {**os.environ, **self.settings}.get("FS_ENGINE", "vllm")

    def try_compose(self, *words: str, timeout_s: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        own = {"FS_PORT": f"127.0.0.1:{self.port}", "FS_NETWORK": f"172.30.{self.number}"}
        argv = ["docker", "compose", "-p", self.name, "-f", str(FILE), *words]
        env = {**os.environ, **own, **self.settings}
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout_s)

    def compose(self, *words: str, timeout_s: float = COMMAND_S) -> str:
        """What it printed. Raises `RuntimeError` with its last lines where it failed."""
        done = self.try_compose(*words, timeout_s=timeout_s)
        if done.returncode:
            raise RuntimeError(f"docker compose {' '.join(words)}: {done.stderr[-2000:]}")
        return done.stdout

    def up(self, *services: str) -> None:
        """Healthy when it returns. Raises `RuntimeError`."""
        self.compose("up", "--detach", "--wait", *services, timeout_s=UP_S)

    def down(self) -> None:
        """Raises `RuntimeError`: what stays is started again and again by its restart policy."""
        self.compose("down", "--volumes", "--timeout", str(STOP_S))

    def fs(self, *words: str) -> str:
        return self.compose("exec", "-T", "controller", "fs", *words)

    def make_key(self) -> str:
        key: str = json.loads(self.fs("tenant", "rotate", "default", "-o", "json"))["key"]
        return key

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", "--no-trunc", service).split()

    def inspect(self, container: str) -> State:
        (found,) = json.loads(subprocess.check_output(["docker", "inspect", container]))
        state, networks = found["State"], found["NetworkSettings"]["Networks"]
        address = networks[f"{self.name}_inside"]["IPAddress"]
        return State(state["Pid"], state["StartedAt"], state["Health"]["Status"], address)

    def kill(self, container: str) -> None:
        """Its main process by its id on this machine: the restart policy holds, which `docker kill` would switch off.

        Does nothing while it has none. Raises `RuntimeError` where Docker's process ids are another machine's.
        """
        pid = self.inspect(container).pid
        if not pid:
            return
        with suppress(ProcessLookupError, FileNotFoundError):
            if container not in Path(f"/proc/{pid}/cgroup").read_text():
                raise RuntimeError(f"process {pid} is not of container {container}: the Docker daemon is not local")
            os.kill(pid, signal.SIGKILL)


@contextmanager
def booted(**settings: str) -> Iterator[Project]:
    """Raises `RuntimeError` where it does not come up healthy."""
    project = Project(settings)
    while True:
        try:
            project.up()
            break
        except RuntimeError as error:
            project.down()
            if TAKEN not in str(error):
                raise
            project = Project(settings)
    try:
        yield project
    finally:
        project.down()
