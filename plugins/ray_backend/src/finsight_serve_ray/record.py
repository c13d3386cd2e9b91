"""What the state folder keeps about the local cluster: `node.json` (how it starts), `cluster.json` (what runs).

The plugin writes the first, the supervisor the second; each is replaced atomically, so no reader sees half of one.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Record = TypeVar("Record", bound=BaseModel)


class Process(BaseModel):
    """A process that can be recognised later."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    started_s: float
    argv: tuple[str, ...] = ()


class NodeRecord(BaseModel):
    """How the node is started. Ports are chosen once, so that a restarted node is found where it was."""

    model_config = ConfigDict(frozen=True)

    num_cpus: int
    num_gpus: int | None
    asked: Mapping[str, int | str | None]  # as the options had it
    gcs_port: int
    dashboard_port: int
    agent_port: int
    client_port: int
    proxy_port: int
    dashboard_metrics_port: int = 44227  # Ray's default, which a node has that an earlier version started
    temp_dir: Path
    replica_host: str = "127.0.0.1"


class ClusterRecord(BaseModel):
    """`phase`: starting (no node yet, so no replica), up, or failed (`error` says why; the supervisor tries again)."""

    model_config = ConfigDict(frozen=True)

    supervisor: Process
    phase: Literal["starting", "up", "failed"] = "starting"
    error: str = ""
    sessions: tuple[Process, ...] = ()  # leaders of the POSIX sessions that the node's processes belong to
    daemons: tuple[Process, ...] = ()
    restarts: int = 0


def node_path(state_dir: Path) -> Path:
    return state_dir / "node.json"


def cluster_path(state_dir: Path) -> Path:
    return state_dir / "cluster.json"


def token_path(state_dir: Path) -> Path:
    return state_dir / "auth_token"


def lock_path(state_dir: Path) -> Path:
    return state_dir / "supervisor.lock"


def read(kind: type[Record], path: Path) -> Record | None:
    """None if there is none, or one of another version."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def write(record: BaseModel, path: Path) -> None:
    write_private(path, record.model_dump_json(indent=1))


def write_private(path: Path, text: str) -> None:
    """Mode 0600 from the start, replaced atomically."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
