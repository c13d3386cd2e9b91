"""Binaries from Go modules, built once and kept in the user's cache."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_cache_path

from .errors import HarnessError
from .versions import BUILD_FLAGS, MODULES, Module

Say = Callable[[str], None]
GO = {"CGO_ENABLED": "0", "GOFLAGS": " ".join(BUILD_FLAGS), "GOWORK": "off"}


@dataclass(frozen=True)
class Binaries:
    """Where each binary and each file copied from a module lies, built or not."""

    cache: Path
    modules: Sequence[Module] = MODULES

    def __getitem__(self, name: str) -> Path:
        for module in self.modules:
            if name in module.commands or name in module.copied:
                return self.cache / module.folder / name
        raise KeyError(name)

    @property
    def missing(self) -> list[str]:
        names = [name for module in self.modules for name in (*module.commands, *module.copied)]
        return [name for name in names if not self[name].exists()]


def cached() -> Binaries:
    return Binaries(user_cache_path("finsight-serve") / "cluster")


def build(binaries: Binaries, say: Say) -> None:
    """Makes what is missing; one builder at a time, and what an interrupted one finished is kept.

    Raises `HarnessError` with the compiler's last lines.
    """
    if not binaries.missing:
        return
    binaries.cache.mkdir(parents=True, exist_ok=True)
    with locked(binaries.cache / "build.lock", lambda: say("another build is under way: waiting for it")):
        lacking = [name for name in binaries.missing if any(name in module.commands for module in binaries.modules)]
        if len(lacking) > 1:
            say(f"building {len(lacking)} binaries from Go modules (once; all take some 15 minutes on two cores)")
        for module in binaries.modules:
            _build_module(module, binaries.cache / module.folder, say)


def _build_module(module: Module, folder: Path, say: Say) -> None:
    folder.mkdir(exist_ok=True)
    wanted = [name for name in (*module.commands, *module.copied) if not (folder / name).exists()]
    if not wanted:
        return
    with TemporaryDirectory(prefix=".building-", dir=folder.parent) as made:
        box = Path(made)
        (box / "go.mod").write_text(module.go_mod)
        if module.source:
            (box / "main.go").write_text(module.source)
        flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in module.stamped.items())])
        for name in wanted:
            began_s = time.monotonic()
            if name in module.commands:
                package = "/".join(part for part in (module.path, module.commands[name]) if part)
                _go(box, "build", f"-tags={module.tags}", f"-ldflags={flags}", "-o", str(box / name), package)
            else:
                source, path = module.copied[name]
                _copy(Path(_go(box, "list", "-m", "-f", "{{.Dir}}", source).strip()) / path, box / name)
            (box / name).rename(folder / name)
            say(f"{name} {time.monotonic() - began_s:.0f} s")


def _go(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["go", *arguments], cwd=folder, env={**os.environ, **GO}, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise HarnessError(f"`go {' '.join(arguments)}` failed:\n{said}")
    return done.stdout


def _copy(source: Path, target: Path) -> None:
    """Without the module cache's modes, which forbid even their owner to write."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(target):
            os.chmod(folder, 0o755)
    else:
        shutil.copyfile(source, target)


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Held until the process that holds it ends, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
