"""The processes of one local Ray node: started, recognised, restarted in place, ended. Never through `ray stop`,
which ends every Ray cluster on the machine.

A node's processes are known by their POSIX session: whatever Ray starts, down to an engine's own helpers, stays in the
session of the supervisor that started it.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from .record import NodeRecord, Process, token_path

CREATE_TIME_SLACK_S = 2.0  # psutil computes start times from a boot time that may be corrected
OBJECT_STORE_BYTES = 200_000_000  # requests do not pass through it; by default Ray sets 30 % of the memory aside
MIN_DRAINING_PERIOD_S = 3.0  # Ray's default of 30 s is for load balancers that learn of a leaving replica by polling

FOREIGN_SETTINGS = frozenset({"RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_NAMESPACE"})  # would point at another cluster


class NodeError(Exception):
    """Why the node did not start, in a sentence."""


def environment(state_dir: Path, dashboard_metrics_port: int) -> dict[str, str]:
    """Added to the environment of every process of the node. The token itself only ever stands in its file."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_path(state_dir)),
        "RAY_gcs_storage": "rocksdb",  # a GCS that comes back knows its actors, so replicas live on
        "RAY_gcs_storage_path": str(state_dir / "gcs"),
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": f"{MIN_DRAINING_PERIOD_S:g}",
        "RAY_ROTATION_MAX_BYTES": "20000000",
        "RAY_ROTATION_BACKUP_COUNT": "2",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DASHBOARD_METRIC_PORT": str(dashboard_metrics_port),  # else clusters on one machine contend for one
        "RAY_worker_niceness": "0",  # the default of 15 lets anything else on the machine starve the engines
        # Ray's own switch for a node that talks to itself only: everything listens on and advertises 127.0.0.1
        # (the default on macOS), so a laptop that changes networks keeps its cluster.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def start_command(record: NodeRecord) -> list[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--disable-usage-stats"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={record.dashboard_port}", f"--port={record.gcs_port}"]
    command += [f"--dashboard-agent-listen-port={record.agent_port}", f"--ray-client-server-port={record.client_port}"]
    command += [f"--temp-dir={record.temp_dir}", f"--num-cpus={record.num_cpus}"]
    command += [f"--object-store-memory={OBJECT_STORE_BYTES}"]
    command += ["--no-monitor", "--include-log-monitor=false"]  # Ray's node autoscaler and its log shipping to drivers
    return command + ([] if record.num_gpus is None else [f"--num-gpus={record.num_gpus}"])


def start(record: NodeRecord, env: dict[str, str], timeout_s: float) -> tuple[Process, ...]:
    """Starts a node in this process's session and returns its daemons. Raises `NodeError`."""
    try:
        done = subprocess.run(
            start_command(record),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NodeError(f"`ray start` did not end within {timeout_s:g} s") from None
    if done.returncode:
        raise NodeError(f"`ray start` failed: {_last_error(done.stdout)}")
    found = {_role(process): process for process in members([describe("session", psutil.Process())])}
    client = found.get("client")
    if client is not None:  # `ray start` can't leave out the server for Ray Client drivers, and nothing here is one
        with suppress(psutil.NoSuchProcess):
            client.terminate()
    daemons = tuple(describe(name, found[name]) for name in ("gcs_server", "dashboard", "raylet") if name in found)
    if len(daemons) < 3:
        missing = {"gcs_server", "dashboard", "raylet"} - {daemon.name for daemon in daemons}
        raise NodeError(f"Ray's {' and '.join(sorted(missing))} ended right after `ray start`")
    return daemons


def restart(daemon: Process, env: dict[str, str]) -> Process:
    """The GCS or the dashboard again, as it was: it finds its state in `RAY_gcs_storage_path`."""
    process = subprocess.Popen(
        daemon.argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return describe(daemon.name, psutil.Process(process.pid))


def describe(name: str, process: psutil.Process) -> Process:
    return Process(name=name, pid=process.pid, started_s=process.create_time(), argv=tuple(process.cmdline()))


def find(recorded: Process) -> psutil.Process | None:
    """The process if it still runs, and not another one with its pid."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(recorded.pid)
        if _same(process, recorded) and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def members(sessions: Iterable[Process]) -> Iterator[psutil.Process]:
    """Every live process of these sessions, this one excepted."""
    ids = {leader.pid for leader in sessions if not _reused(leader)}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            in_session = process.pid != os.getpid() and os.getsid(process.pid) in ids
            if in_session and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def stop(sessions: Sequence[Process], grace_s: float = 2.0) -> None:
    """SIGTERM to all, SIGKILL to what is left after `grace_s`."""
    for signal in ("terminate", "kill"):
        processes = list(members(sessions))
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                getattr(process, signal)()
        psutil.wait_procs(processes, timeout=grace_s)


def _reused(leader: Process) -> bool:
    """Whether the session's id is another process's by now: it has its leader's pid, which may be free again."""
    try:
        return not _same(psutil.Process(leader.pid), leader)
    except psutil.NoSuchProcess:
        return False


def _same(process: psutil.Process, recorded: Process) -> bool:
    apart_s: float = abs(process.create_time() - recorded.started_s)
    return apart_s <= CREATE_TIME_SLACK_S


def _role(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        argv = process.cmdline()
        if argv and Path(argv[0]).name in ("gcs_server", "raylet"):
            return Path(argv[0]).name
        if any(arg.endswith("dashboard/dashboard.py") for arg in argv[:4]):
            return "dashboard"
        if "ray.util.client.server" in argv:
            return "client"
    return ""


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or " ERR " in line]
    return (errors or lines or ["it said nothing"])[-1]
