"""Rendered configurations on disk: each in a folder named by its content, one of them current.

versions/<version>/…   the artefacts, and version.conf, by which the running nginx names itself
current                → versions/<version>
"""

import hashlib
import os
import shutil
from pathlib import Path

from finsight_serve.plugin import Artefact

MANIFEST = "version.conf"


def version_of(artefacts: tuple[Artefact, ...]) -> str:
    digest = hashlib.sha256()
    for artefact in artefacts:
        for part in (artefact.name, artefact.body):
            digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()[:16]


class Configurations:
    def __init__(self, state_dir: Path) -> None:
        self._versions = state_dir / "versions"
        self._current = state_dir / "current"

    def write(self, artefacts: tuple[Artefact, ...]) -> str:
        """Nothing is ever half there: the folder appears complete or not at all."""
        name = version_of(artefacts)
        if self.read(name) == artefacts:
            return name
        draft = self._versions / f".{name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        for artefact in artefacts:
            _write(draft / artefact.name, artefact.body)
        names = "".join(f"# {'secret' if one.secret else 'public'} {one.name}\n" for one in artefacts)
        _write(draft / MANIFEST, f'{names}map $host $config_version {{\n    default "{name}";\n}}\n')
        shutil.rmtree(self._versions / name, ignore_errors=True)
        draft.rename(self._versions / name)
        return name

    def read(self, version: str) -> tuple[Artefact, ...]:
        """What stands on disk now; empty if nothing does."""
        folder = self._versions / version
        try:
            lines = [line.split() for line in (folder / MANIFEST).read_text("utf-8").splitlines() if line[:1] == "#"]
            return tuple(
                Artefact(name, (folder / name).read_text("utf-8"), kind == "secret") for _, kind, name in lines
            )
        except (OSError, ValueError):
            return ()

    @property
    def current(self) -> str:
        """Version that nginx reads when it is started or reloaded; "" for none."""
        return self._current.readlink().name if self._current.is_symlink() else ""

    def switch(self, version: str) -> None:
        """Atomically; "" leaves none current."""
        if not version:
            self._current.unlink(missing_ok=True)
            return
        link = self._current.with_name(".current")
        link.unlink(missing_ok=True)
        link.symlink_to(Path(self._versions.name) / version)
        link.replace(self._current)

    def prune(self, *keep: str) -> None:
        for folder in self._versions.iterdir():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
