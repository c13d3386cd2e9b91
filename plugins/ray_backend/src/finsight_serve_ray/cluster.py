"""The local cluster as the plugin sees it: prepared, started through its supervisor, found again, ended."""

import fcntl
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio

from finsight_serve.env import Env, ProcessId
from finsight_serve.plugin import ApplyError, Artefact

from . import node, ports
from .instance import tail
from .options import LOOPBACK, Options
from .record import (
    ClusterRecord,
    NodeRecord,
    cluster_path,
    lock_path,
    node_path,
    read,
    token_path,
    write,
    write_private,
)
from .rest import Rest, RestError

CPUS_PER_CORE = 4
"""A replica's CPUs only admit it, they bind it to none; an engine that waits for a GPU or for tokens uses few, and a
replacement must fit beside the replica that it replaces."""

ARTEFACT = "cluster"
TEMP_PATH_LIMIT = 40  # Ray puts sockets some 60 characters deeper, and a socket's path ends at 103 (macOS) or 107
STOP_GRACE_S = 20.0
LOG_TAIL_BYTES = 16_384


def render(options: Options) -> Mapping[str, int | str | None]:
    """What of the options takes effect when the cluster starts. Pure."""
    ports = {"dashboard_port": options.dashboard_port, "gcs_port": options.gcs_port}
    beyond = {} if options.replica_host == LOOPBACK else {"replica_host": str(options.replica_host)}
    return {**ports, "num_cpus": options.num_cpus, "num_gpus": options.num_gpus, **beyond}


class LocalCluster:
    def __init__(self, options: Options, env: Env) -> None:
        self.options, self.env = options, env
        self.dir = env.state_dir

    @property
    def url(self) -> str:
        """Where its REST is, or would be."""
        spec = read(NodeRecord, node_path(self.dir))
        return f"http://127.0.0.1:{spec.dashboard_port if spec else self.options.dashboard_port}"

    @property
    def token_file(self) -> Path:
        return token_path(self.dir)

    @property
    def proxy_port(self) -> int:
        spec = read(NodeRecord, node_path(self.dir))
        return spec.proxy_port if spec else 0

    @property
    def replica_host(self) -> str:
        """Where its replicas listen, or would."""
        spec = read(NodeRecord, node_path(self.dir))
        return spec.replica_host if spec else str(self.options.replica_host)

    def head(self) -> ProcessId | None:
        """The node's own process; None while it does not run."""
        record = read(ClusterRecord, cluster_path(self.dir))
        found = [one for one in record.daemons if one.name == "raylet" and node.find(one)] if record else []
        return ProcessId(found[0].pid, found[0].started_s) if found else None

    def supervised(self) -> bool:
        """Whether a supervisor holds the lock."""
        try:
            with lock_path(self.dir).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def in_force(self) -> Artefact | None:
        """Only while a supervisor keeps it: without one the cluster serves, but nothing would mend it."""
        spec = read(NodeRecord, node_path(self.dir))
        return Artefact(ARTEFACT, spec.asked) if spec is not None and self.supervised() else None

    def has_node(self) -> bool:
        """Whether replicas may live: the raylet does, or did when the supervisor last looked."""
        record = self._record()
        if record is None:
            return False
        if self.supervised():
            return record.phase == "up"
        return any(daemon.name == "raylet" and node.find(daemon) for daemon in record.daemons)

    async def ensure(self, rest: Callable[[], Rest]) -> None:
        """Starts what does not run and waits until REST answers. Raises `ApplyError`."""
        if not self.supervised():
            if not self.has_node():
                await anyio.to_thread.run_sync(self._prepare)
            self._start_supervisor()
            self.env.progress("starting the local Ray cluster, some 15 s")
        deadline_s = self.env.clock.now() + self.options.startup_timeout_s
        last = "it does not answer"
        while self.env.clock.now() < deadline_s:
            record = self._record()
            if record is not None and record.phase == "failed":
                raise ApplyError(f"the local Ray cluster does not start: {record.error} (see {self.dir / 'logs'})")
            if record is not None and record.phase == "up":
                try:
                    await rest().get()
                    return
                except RestError as error:
                    last = str(error)
            await self.env.clock.sleep(0.3)
        waited = f"{self.options.startup_timeout_s:g} s"
        raise ApplyError(f"the local Ray cluster is not up after {waited}: {last} (see {self.dir / 'logs'})")

    async def stop(self) -> None:
        """Ends the node and all its processes, and leaves the logs."""
        record = self._record()
        if record is not None:
            me = ProcessId(record.supervisor.pid, record.supervisor.started_s)
            await self.env.processes.stop(me, grace_s=STOP_GRACE_S)
            await anyio.to_thread.run_sync(node.stop, record.sessions)  # what a killed supervisor left
        await anyio.to_thread.run_sync(self._clear)

    def log_tail(self, worker_id: str) -> str:
        """What a worker last printed, standard error last."""
        spec = read(NodeRecord, node_path(self.dir))
        if spec is None:
            return ""
        logs = spec.temp_dir / "session_latest" / "logs"
        return "\n".join(
            filter(None, (_tail(p) for s in ("out", "err") for p in logs.glob(f"worker-{worker_id}-*.{s}")))
        )

    def _record(self) -> ClusterRecord | None:
        return read(ClusterRecord, cluster_path(self.dir))

    def _start_supervisor(self) -> None:
        argv = [sys.executable, "-m", "finsight_serve_ray.supervisor", str(self.dir)]
        try:
            self.env.processes.start(argv, log=self.dir / "logs" / "supervisor.log")
        except OSError as error:
            raise ApplyError(f"can't start the Ray supervisor: {error}") from None

    def _prepare(self) -> None:
        """A clean start: new temporary folder, empty control store, same ports if they are still free."""
        before = read(NodeRecord, node_path(self.dir))
        record = self._record()
        if record is not None:
            node.stop(record.sessions)
        self._clear()
        wanted = {"dashboard_port": self.options.dashboard_port, "gcs_port": self.options.gcs_port}
        chosen: dict[str, int] = {}
        for name in ("dashboard_port", "gcs_port", "agent_port", "client_port", "proxy_port", "dashboard_metrics_port"):
            fixed = wanted.get(name)
            if fixed and not ports.is_free(fixed):
                holder = ports.describe_holder(fixed)
                raise ApplyError(f"{name} {fixed} is in use by {holder}: free it, or set {name}: 0 to have one chosen")
            preferred: int | None = getattr(before, name, None)
            chosen[name] = fixed or ports.choose(preferred, chosen.values())
        temp_dir = Path(tempfile.mkdtemp(prefix="fs-ray-", dir=_short_temp_dir())) / "r"  # Ray opens its own to all
        cpus = self.options.num_cpus or CPUS_PER_CORE * (os.cpu_count() or 1)
        spec = NodeRecord(
            num_cpus=cpus,
            num_gpus=self.options.num_gpus,
            asked=render(self.options),
            temp_dir=temp_dir,
            replica_host=str(self.options.replica_host),
            **chosen,
        )
        write(spec, node_path(self.dir))
        write_private(token_path(self.dir), secrets.token_hex(32))
        logs = self.dir / "logs" / "ray"
        logs.parent.mkdir(exist_ok=True)
        if logs.is_symlink():
            logs.unlink()
        shutil.rmtree(logs, ignore_errors=True)
        logs.symlink_to(temp_dir / "session_latest" / "logs")

    def _clear(self) -> None:
        """Forgets a node that is gone. Ray's logs of it are moved to logs/ray, over those of the one before."""
        cluster_path(self.dir).unlink(missing_ok=True)
        shutil.rmtree(self.dir / "gcs", ignore_errors=True)
        spec = read(NodeRecord, node_path(self.dir))
        link = self.dir / "logs" / "ray"
        if spec is None or not _is_ours(spec.temp_dir.parent):
            return
        if link.is_symlink():
            link.unlink()
            with suppress(OSError):
                shutil.move((spec.temp_dir / "session_latest" / "logs").resolve(strict=True), link)
        shutil.rmtree(spec.temp_dir.parent, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    """Still the private folder that was made: another user may have taken the name since /tmp was swept."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _short_temp_dir() -> str:
    system = tempfile.gettempdir()
    return system if len(system) + len("/fs-ray-12345678") <= TEMP_PATH_LIMIT else "/tmp"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return tail(file.read().decode(errors="replace"))
    except OSError:
        return ""
