"""How a pod runs this very environment: the image `host`, with what it needs mounted from this machine."""

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def python_folders() -> list[Path]:
    """What this Python reads to import all that it can: /usr, its environment, its base, the sources."""
    executable = Path(sys.executable).resolve()
    found = [Path("/usr"), Path(sys.prefix), Path(sys.base_prefix), executable.parents[1], REPOSITORY]
    return outermost(found)


def outermost(folders: Iterable[Path]) -> list[Path]:
    """Pure. Without those that lie within another, in their first order."""
    known = list(dict.fromkeys(folders))
    return [folder for folder in known if not any(other in folder.parents for other in known)]


def closed(folders: Sequence[Path]) -> list[Path]:
    """Those that a pod's user may not read."""
    return [folder for folder in folders if not _open(os.stat(folder).st_mode)]


def _open(mode: int) -> bool:
    return bool(mode & stat.S_IROTH and mode & stat.S_IXOTH)


def as_options(folders: Sequence[Path]) -> list[dict[str, object]]:
    """As the backend's option `volumes` wants them."""
    return [{"mount_path": str(folder), "host_path": str(folder), "read_only": True} for folder in folders]


def as_pod(folders: Sequence[Path]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """A pod's `volumes` and a container's `volumeMounts`."""
    names = [f"host-{number}" for number in range(len(folders))]
    volumes: list[dict[str, object]] = [
        {"name": name, "hostPath": {"path": str(folder)}} for name, folder in zip(names, folders, strict=True)
    ]
    mounts: list[dict[str, object]] = [
        {"name": name, "mountPath": str(folder), "readOnly": True} for name, folder in zip(names, folders, strict=True)
    ]
    return volumes, mounts
