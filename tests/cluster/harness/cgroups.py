"""A cluster's pods get a cgroup of their own, since a kubelet removes what it finds in its own and does not know."""

import contextlib
from functools import partial
from pathlib import Path

from ...e2e.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = "+cpu +cpuset +memory +pids"


def make_cgroup(name: str, root: Path = ROOT) -> None:
    if (root / "cgroup.controllers").exists():
        (root / "cgroup.subtree_control").write_text(CONTROLLERS)
        (root / name).mkdir(exist_ok=True)
        (root / name / "cgroup.subtree_control").write_text(CONTROLLERS)
        return
    for hierarchy in root.iterdir():
        if hierarchy.is_dir() and not hierarchy.is_symlink():
            (hierarchy / name).mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):  # empty at first, and then nothing may run there
                if (hierarchy / setting).exists():
                    (hierarchy / name / setting).write_text((hierarchy / setting).read_text())


def remove_cgroup(name: str, root: Path = ROOT) -> None:
    """Waits for its dead processes to be gone from it."""
    tops = [top for top in (root / name, *(root.glob(f"*/{name}"))) if top.is_dir()]
    for top in tops:
        wait_until(partial(_removed, top), 60, f"the end of cgroup {top}")


def _removed(top: Path) -> bool:
    for folder in sorted(top.glob("**/"), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not top.exists()
