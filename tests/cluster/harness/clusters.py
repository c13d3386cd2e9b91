"""All clusters of this machine: making one beside others, finding one again, ending those whose owner is gone."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from finsight_serve.env import ProcessId
from finsight_serve.processes import SystemProcesses

from .addresses import choose_addresses
from .builds import Binaries, locked
from .cluster import Cluster, Settings, addresses_of
from .errors import HarnessError
from .sandbox import routed

ROOT = Path("/var/tmp/finsight-clusters")
"""On a disk, and short: a Unix socket's path may have 107 characters."""
LOGS_KEPT_S = 86400


def make(name: str, binaries: Binaries, settings: Settings, root: Path = ROOT) -> Cluster:
    """Started. Raises `HarnessError`; what a failed start left is ended, its logs are kept."""
    cluster = _reserve(name, binaries, settings, root)
    try:
        cluster.start(settings)
    except BaseException as error:
        dead = f"; ended by itself: {', '.join(cluster.dead)}" if cluster.dead else ""
        cluster.stop(keep_logs=True)
        if isinstance(error, (HarnessError, AssertionError)):
            raise HarnessError(f"the cluster did not start: {error}{dead} (logs: {cluster.logs})") from error
        raise
    return cluster


def find(name: str, binaries: Binaries, root: Path = ROOT) -> Cluster | None:
    state = root / name
    return Cluster(state, addresses_of(state), binaries) if (state / "net").exists() else None


def find_by_kubeconfig(path: Path, binaries: Binaries, root: Path = ROOT) -> Cluster | None:
    """The harness's own cluster that this kubeconfig is of."""
    state = path.resolve().parent
    return find(state.name, binaries, root) if state.parent == root.resolve() else None


def everything(binaries: Binaries, root: Path = ROOT) -> Iterator[Cluster]:
    for state in sorted(root.glob("*")) if root.exists() else []:
        cluster = find(state.name, binaries, root)
        if cluster:
            yield cluster


def end_abandoned(binaries: Binaries, say: Callable[[str], None], root: Path = ROOT) -> None:
    """Those whose first process is dead, or whose owner is; and a failure's logs after a day."""
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / "lock"):
        for cluster in everything(binaries, root):
            if not cluster.runs or not _owned(cluster.state):
                say(f"ending the abandoned cluster {cluster.name}")
                cluster.stop()
        for state in root.iterdir():
            if state.is_dir() and not (state / "net").exists() and time.time() - state.stat().st_mtime > LOGS_KEPT_S:
                shutil.rmtree(state)


def _reserve(name: str, binaries: Binaries, settings: Settings, root: Path) -> Cluster:
    """A folder and addresses, both free: one at a time."""
    root.mkdir(parents=True, exist_ok=True)
    state = root / name
    with locked(root / "lock"):
        if (state / "net").exists():
            raise HarnessError(f"there is a cluster {name!r} already")
        shutil.rmtree(state, ignore_errors=True)  # logs of an earlier failure
        reserved = [str(cluster.addresses.net) for cluster in everything(binaries, root)]
        addresses = choose_addresses([*routed(), *reserved])
        (state / "logs").mkdir(parents=True)
        if settings.with_us:
            owner = [os.getpid(), psutil.Process().create_time()]
            (state / "owner.json").write_text(json.dumps(owner))
        (state / "net").write_text(str(addresses.net))
    return Cluster(state, addresses, binaries)


def _owned(state: Path) -> bool:
    """By a process that lives, or by a person who started it to keep it."""
    with contextlib.suppress(FileNotFoundError):
        return SystemProcesses().alive(ProcessId(*json.loads((state / "owner.json").read_text())))
    return True
