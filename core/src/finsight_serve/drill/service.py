"""A service that is drilled: what `fs` and the runbook's commands do with it, its load and its watch."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ..controller.client import Client
from ..controller.status import ReplicaStatus, Status
from ..errors import UserError
from ..host import Host, env_for
from ..plugin import ApplyError
from . import family, folder
from .load import Caller, Load
from .prometheus import Prometheus
from .waiting import DrillError

SERVE = "fs serve --detach"
COMMAND_S = 300.0
"""A start may take minutes."""
LOOK_S = 5.0
MONITORING = "monitoring"
"""The folder of Prometheus' files, as the runbook has it."""


@dataclass(frozen=True)
class Ran:
    command: str
    code: int
    output: str  # stdout and stderr together

    @property
    def last_line(self) -> str:
        return next((line for line in reversed(self.output.splitlines()) if line.strip()), "")


@dataclass(frozen=True)
class Target:
    """What is drilled."""

    file: Path
    state: Path
    stack: str
    backend: str  # as the file names it
    orchestrator: str
    options: Mapping[str, Any]  # the orchestrator's
    deployment: str
    tenant: str  # whose key the steady load has
    model: str  # as clients name it
    url: str
    clients: int = 6  # of the steady load


@dataclass
class Service:
    """`close` removes all that the drill has brought."""

    folder: Path  # the drill's own
    prometheus_port: int
    host: Host
    target: Target
    keys: dict[str, str] = field(default_factory=dict)
    _watch: Prometheus | None = None
    _load: Load | None = None

    def close(self) -> list[str]:
        """What did not go in order, each in a sentence."""
        self.stop()
        return [f"had to be killed: {process}" for process in folder.remove(self.folder)]

    def stop(self) -> None:
        """The load and the watch."""
        if self._load is not None:
            self._load.stop()
        if self._watch is not None:
            self._watch.stop()
        self._load = self._watch = None

    @property
    def state(self) -> Path:
        return self.target.state

    @property
    def monitoring(self) -> Path:
        return self.folder / MONITORING

    @property
    def watch(self) -> Prometheus:
        assert self._watch is not None, "begin_watch comes first"
        return self._watch

    @property
    def load(self) -> Load:
        assert self._load is not None, "begin_load comes first"
        return self._load

    def begin_watch(self, speed: int) -> None:
        """Raises `DrillError`."""
        self.must(f"fs plan -o prometheus --to {shlex.quote(str(self.monitoring))}")
        self._watch = Prometheus(self.monitoring, self.prometheus_port, speed)
        self._watch.start()

    def begin_load(self) -> None:
        key = self.keys[self.target.tenant]
        self._load = Load(Caller(self.target.url, key, self.target.model, self.target.clients)).start()

    def run(self, command: str) -> Ran:
        """In a shell in the file's folder, where `fs` is this installation's. 124: it did not end in time."""
        try:
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=self.target.file.parent,
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=COMMAND_S,
                start_new_session=True,  # Ctrl-C is for the drill, which then takes all down in order
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(command, 124, f"no end within {COMMAND_S:g} s")
        return Ran(command, done.returncode, done.stdout)

    def must(self, command: str) -> Ran:
        """Raises `DrillError` where it fails."""
        ran = self.run(command)
        if ran.code:
            raise DrillError(f"`{command}` ended with {ran.code}: {ran.last_line}")
        return ran

    def words(self) -> Mapping[str, str]:
        """What the runbook leaves to fill in; "": not known here."""
        host, port = self.host_and_port
        return {
            "TENANT": self.target.tenant,
            "DEPLOYMENT": self.target.deployment,
            "STACK": self.target.stack,
            "STATE": str(self.state),
            "URL": self.target.url,
            "HOST": host,
            "PORT": str(port),
            "PID": str(self.controller_pid() or ""),
            "HOLDER": " ".join(str(one.pid) for one in family.listeners(port)[:1]),
        }

    @property
    def host_and_port(self) -> tuple[str, int]:
        parts = urlsplit(self.target.url)
        return parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]

    def status(self) -> Status | None:
        """None while no controller answers."""
        try:
            return Client(self.state, read_timeout_s=LOOK_S).status()
        except UserError:
            return None

    def ready(self) -> tuple[ReplicaStatus, ...]:
        status = self.status()
        found = status.replicas if status else ()
        return tuple(one for one in found if one.deployment == self.target.deployment and one.state == "ready")

    def controller_pid(self) -> int | None:
        """As `fs status` has it; None while it does not answer."""
        status = self.status()
        found = re.search(r"pid (\d+)", status.controller) if status else None
        return int(found[1]) if found else None

    def process_of(self, replica: ReplicaStatus) -> psutil.Process:
        """Raises `DrillError` where nobody listens at its address."""
        found = family.listeners(int(replica.address.rpartition(":")[2]))
        if not found:
            raise DrillError(f"nobody listens at {replica.address}")
        return found[0]

    def head(self) -> psutil.Process:
        """The backend's head. Raises `DrillError` while there is none."""
        target = self.target
        env = env_for(self.state / "backends" / target.backend, owner="", progress=lambda _: None)
        try:
            orchestrator: Any = self.host.build("orchestrator", target.orchestrator, target.options, env)
            found = orchestrator.head()
        except ApplyError as error:
            raise DrillError(str(error)) from error
        if found is None:
            raise DrillError("the backend has no head now")
        return psutil.Process(found.pid)

    def add_tenant(self, name: str, deployment: str) -> None:
        self._note_key(name, self.must(f"fs tenant add {name} --deployment {deployment}"))

    def rotate(self, tenant: str, grace: str) -> None:
        self._note_key(tenant, self.must(f"fs tenant rotate {tenant} --grace {grace}"))

    def _note_key(self, tenant: str, ran: Ran) -> None:
        found = re.search(r"^fs-\S+$", ran.output, flags=re.MULTILINE)
        if found is None:
            raise DrillError(f"`{ran.command}` printed no key")
        self.keys[tenant] = found[0]

    def _env(self) -> Mapping[str, str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "PATH": path, "FS_STATE_DIR": str(self.state)}

    def write_shim(self) -> None:
        """`fs` in the runbook's commands is this installation's."""
        shim = self.folder / "bin" / "fs"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m finsight_serve "$@"\n')
        shim.chmod(0o700)
