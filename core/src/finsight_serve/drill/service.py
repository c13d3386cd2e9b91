"""The scratch service: a folder, an fs.yaml, and what `fs` and the runbook's commands do with it."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ..controller.client import Client
from ..controller.status import ReplicaStatus, Status
from ..errors import UserError
from ..host import Host, env_for
from ..plugin import ApplyError
from ..ports import LOOPBACK
from . import family, folder
from .load import Caller, Load
from .ports import free_ports
from .prometheus import Prometheus
from .shape import MAIN, MODEL, SPARE, STACK, STEADY, Choice, Places, Shape, scratch, stack
from .waiting import DrillError

COMMAND_S = 300.0
"""A start may take minutes."""
LOOK_S = 5.0
MONITORING = "monitoring"
"""The folder of Prometheus' files, as the runbook has it."""
KEY = re.compile(r"Key +(fs-\S+) +\(tenant ([^;]+);")


@dataclass(frozen=True)
class Ran:
    command: str
    code: int
    output: str  # stdout and stderr together

    @property
    def last_line(self) -> str:
        return next((line for line in reversed(self.output.splitlines()) if line.strip()), "")


@dataclass
class Service:
    """Made by `make`; `close` removes all of it."""

    folder: Path
    choice: Choice
    places: Places
    prometheus_port: int
    host: Host
    shape: Shape = field(default_factory=Shape)
    keys: dict[str, str] = field(default_factory=dict)
    helpers: list[psutil.Process] = field(default_factory=list)  # what a fault has started
    floods: list[Load] = field(default_factory=list)
    _watch: Prometheus | None = None
    _load: Load | None = None
    _backend: Mapping[str, object] | None = None  # its options, chosen once: ports stay

    @classmethod
    def make(cls, choice: Choice, host: Host) -> "Service":
        place = folder.make()
        *ports, watch = free_ports(5)
        listen, controller, balancer, other = (f"{LOOPBACK}:{port}" for port in ports)
        places = Places(listen, controller, balancer, other, str(place / "tls.crt"), str(place / "tls.key"))
        service = cls(place, choice, places, watch, host)
        service._write_shim()
        return service

    def close(self) -> list[str]:
        """What had to be killed, since `fs down` left it."""
        for load in (*self.floods, *([self._load] if self._load else [])):
            load.stop()
        if self._watch is not None:
            self._watch.stop()
        family.end(self.helpers)
        return folder.remove(self.folder)

    @property
    def file(self) -> Path:
        return self.folder / "fs.yaml"

    @property
    def state(self) -> Path:
        return self.folder / folder.STATE

    @property
    def monitoring(self) -> Path:
        return self.folder / MONITORING

    @property
    def port(self) -> int:
        return int(self.places.listen.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"{'https' if self.shape.has_tls else 'http'}://{self.places.listen}"

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
        self.must(f"fs plan -o prometheus --to {MONITORING}")
        self._watch = Prometheus(self.monitoring, self.prometheus_port, speed)
        self._watch.start()

    def begin_load(self) -> None:
        self._load = Load(Caller(self.url, self.keys[STEADY], MODEL)).start()

    def write(self, shape: Shape) -> None:
        """fs.yaml, anew."""
        from ruamel.yaml import YAML

        def options(engine: Shape) -> Mapping[str, object]:
            plugin = self.host.load("engine", self.choice.engine)
            return dict(plugin.drill_options(scratch(engine, self.places)))

        orchestrator = self.host.load("orchestrator", self.choice.orchestrator)
        balancer = self.host.load("load_balancer", self.choice.load_balancer)
        asked = scratch(shape, self.places)
        if self._backend is None:
            self._backend = dict(orchestrator.drill_options(asked))
        data = stack(
            shape,
            self.choice,
            self.places,
            backend=self._backend,
            balancer=balancer.drill_options(asked),
            engine=options(shape),
            spare_engine=options(Shape(max_running=shape.max_running)),
        )
        with self.file.open("w", encoding="utf-8") as file:
            YAML().dump(data, file)
        self.shape = shape

    def serve(self) -> None:
        """Raises `UserError` with what this machine lacks, `DrillError` where it does not come up."""
        ran = self.run("fs serve --detach")
        self.keys |= {tenant: key for key, tenant in KEY.findall(ran.output)}
        if ran.code == 2:
            raise UserError("\n".join(re.findall(r"^fs: (.*)", ran.output, flags=re.MULTILINE)) or ran.last_line)
        if ran.code:
            raise DrillError(f"the scratch service does not come up: {ran.last_line}")

    def run(self, command: str) -> Ran:
        """In a shell in the service's folder, where `fs` is this installation's. 124: it did not end in time."""
        try:
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=self.folder,
                env=self._env,
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
        """What the runbook leaves to fill in."""
        host, port = self.places.listen.split(":")
        known = {
            "TENANT": STEADY,
            "DEPLOYMENT": MAIN,
            "STACK": STACK,
            "STATE": str(self.state),
            "URL": self.url,
            "HOST": host,
            "PORT": port,
            "PID": str(self.controller_pid() or ""),
            "HOLDER": " ".join(str(one.pid) for one in family.listeners(self.port)[:1]),
            "METRICS": self.places.controller_metrics,
            "BALANCER-METRICS": scratch(self.shape, self.places).metrics_listen,
            **({"OTHER-DEPLOYMENT": SPARE} if self.shape.has_spare else {}),
        }
        return {name: text for name, text in known.items() if text}

    def status(self) -> Status | None:
        """None while no controller answers."""
        try:
            return Client(self.state, read_timeout_s=LOOK_S).status()
        except UserError:
            return None

    def ready(self, deployment: str = MAIN) -> tuple[ReplicaStatus, ...]:
        status = self.status()
        found = status.replicas if status else ()
        return tuple(one for one in found if one.deployment == deployment and one.state == "ready")

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
        env = env_for(self.state / "backends" / self.choice.orchestrator, owner="", progress=lambda _: None)
        options = self._backend or {}
        try:
            found = self.host.build("orchestrator", self.choice.orchestrator, options, env).head()  # type: ignore[attr-defined]
        except ApplyError as error:
            raise DrillError(str(error)) from error
        if found is None:
            raise DrillError("the backend has no head now")
        return psutil.Process(found.pid)

    def add_tenant(self, name: str) -> None:
        self._note_key(name, self.must(f"fs tenant add {name}"))

    def rotate(self, tenant: str, grace: str) -> None:
        self._note_key(tenant, self.must(f"fs tenant rotate {tenant} --grace {grace}"))

    def _note_key(self, tenant: str, ran: Ran) -> None:
        found = re.search(r"^fs-\S+$", ran.output, flags=re.MULTILINE)
        if found is None:
            raise DrillError(f"`{ran.command}` printed no key")
        self.keys[tenant] = found[0]

    @property
    def _env(self) -> Mapping[str, str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "PATH": path, "FS_STATE_DIR": str(self.state), family.MARK: str(self.folder)}

    def _write_shim(self) -> None:
        shim = self.folder / "bin" / "fs"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m finsight_serve "$@"\n')
        shim.chmod(0o700)
