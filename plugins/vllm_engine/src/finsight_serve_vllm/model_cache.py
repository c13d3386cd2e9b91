"""A folder that is there whole or not at all: made beside its place, checksummed, renamed; one maker at a time."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

MANIFEST = "manifest.json"
READABLE = 0o755
"""Replicas may run as another user."""
Progress = Callable[[str], None]


def fill(folder: Path, make: Callable[[Path], None], progress: Progress) -> None:
    """Calls `make` with an empty folder to fill unless `folder` is whole. Raises what `make` raises, and `OSError`."""
    if is_whole(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder, progress):
        if is_whole(folder):  # another process made it meanwhile
            return
        _remove_leftovers(folder, progress)
        partial = Path(tempfile.mkdtemp(prefix=_partial_prefix(folder), dir=folder.parent))
        try:
            make(partial)
            (partial / MANIFEST).write_text(json.dumps(digest_files(partial), indent=1))
            partial.chmod(READABLE)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Whether every file is as it was made. Reads them all: 0.2 s for 270 MB, less than loading them takes."""
    try:
        recorded = json.loads((folder / MANIFEST).read_text())
        return bool(recorded) and digest_files(folder) == recorded
    except (OSError, ValueError):
        return False


def digest_files(folder: Path) -> dict[str, str]:
    """SHA-256 by relative path, the manifest left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _lock(folder: Path, progress: Progress) -> Iterator[None]:
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"Another process prepares {folder.name}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(folder: Path, progress: Progress) -> None:
    if folder.exists():
        progress(f"{folder} is damaged: making it again")
        shutil.rmtree(folder)
    for partial in folder.parent.glob(_partial_prefix(folder) + "*"):  # of a maker that died: the lock is ours
        shutil.rmtree(partial)


def _partial_prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"
