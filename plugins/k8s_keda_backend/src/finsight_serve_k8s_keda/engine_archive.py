"""The engine's own few modules, for images that have the engine but not the code that serves it: a zip in a ConfigMap.

Python imports from a zip on its path. Only what the process may import is in it, so that another part of the
distribution that changes replaces no replica.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from finsight_serve.plugin import ApplyError, Launch

from .kinds import Json
from .options import Options

FILE = "engine.zip"
OLDEST = (1980, 1, 1, 0, 0, 0)
"""A zip knows no earlier time; the true one would make every archive another."""
UNIX = 3
READABLE = 0o100644 << 16
LARGEST_BYTES = 700_000
"""In base64 about what the API server takes as one object, 1 MiB."""


class EngineArchives:
    """Made once for each engine, as code that is installed doesn't change under a running process."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[str, ...], tuple[str, ...]], bytes] = {}

    def of(self, launch: Launch) -> bytes:
        """Empty where the image lacks nothing. Raises `ApplyError` for a package that isn't installed here."""
        key = launch.py_modules, tuple(_started(launch))
        if key not in self._made:
            self._made[key] = _archive(*key) if launch.py_modules else b""
        return self._made[key]


def config_map_name(deployment: str) -> str:
    return f"{deployment}-engine"


def config_map(deployment: str, archive: bytes, labels: Mapping[str, str], options: Options) -> Json:
    name = config_map_name(deployment)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": options.namespace, "labels": dict(labels)},
        "binaryData": {FILE: base64.b64encode(archive).decode()},
    }


def digest(archive: bytes) -> str:
    """Of what is in it: another machine may compress the same otherwise."""
    found = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for name in opened.namelist():
            found.update(f"{name} {hashlib.sha256(opened.read(name)).hexdigest()}\n".encode())
    return found.hexdigest()


def _started(launch: Launch) -> Iterator[str]:
    """The packages that argv starts by `python -m`."""
    for flag, module in pairwise(launch.argv):
        if flag == "-m" and module.partition(".")[0] in launch.py_modules:
            yield module.partition(".")[0]


def _archive(packages: tuple[str, ...], started: tuple[str, ...]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for path, source in sorted(_sources(packages, started or packages).items()):
            entry = zipfile.ZipInfo(path, OLDEST)
            entry.create_system, entry.external_attr = UNIX, READABLE
            written.writestr(entry, source, zipfile.ZIP_DEFLATED, 9)
    size = len(archive.getvalue())
    if size > LARGEST_BYTES:
        raise ApplyError(
            f"the code of {', '.join(packages)} takes {size} bytes, and a ConfigMap holds {LARGEST_BYTES}: put it "
            "into the image that the backend names, and let the engine name fewer packages"
        )
    return archive.getvalue()


def _sources(packages: tuple[str, ...], whole: tuple[str, ...]) -> Mapping[str, bytes]:
    """Path in the archive → source, of the packages that are sent as a whole and of what they reach in the others."""
    finder = _Finder(packages)
    try:
        for package in whole:
            finder.import_hook(package, fromlist=["*"])
    except ImportError as error:
        raise ApplyError(f"the engine's code is sent along, and isn't installed here: {error}") from None
    files = ((name, getattr(module, "__file__", None)) for name, module in finder.modules.items())
    return dict(_read(name, Path(file)) for name, file in files if isinstance(file, str))


class _Finder(ModuleFinder):
    """Looks no further than into these packages."""

    def __init__(self, packages: Collection[str]) -> None:
        super().__init__()
        self._packages = packages

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        if path is None and name not in self._packages:
            raise ImportError(f"no package {name}")
        return super().find_module(name, path, parent)


def _read(name: str, file: Path) -> tuple[str, bytes]:
    """A package's `__file__` is its folder or what is in it."""
    path = name.replace(".", "/")
    if file.is_dir():
        file /= "__init__.py"
    return f"{path}/__init__.py" if file.name == "__init__.py" else f"{path}.py", file.read_bytes()
