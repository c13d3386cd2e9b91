"""The last lines of the logs of a state folder: what `fs logs` shows, and those that were rotated."""

import gzip
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .parts import Missing, Text

LOG_BYTES = 1024 * 1024
ALL_LOGS_BYTES = 32 * LOG_BYTES
LARGEST_UNPACKED_BYTES = 256 * LOG_BYTES
CHUNK_BYTES = 256 * 1024
LOG = re.compile(r".+\.log(?:[.-][\w.-]+)?")


@dataclass(frozen=True)
class Log:
    path: Path
    label: str  # below the state folder
    size_bytes: int
    changed_s: float


def find_logs(folder: Path) -> Iterator[Log | Missing]:
    """Every `*.log`, and its rotated ones, below a folder `logs`; those that were put there by a link count."""
    seen, unreadable = set[tuple[int, int]](), list[OSError]()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=unreadable.append):
        about = os.stat(place)
        if (about.st_dev, about.st_ino) in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders.sort()
        if "logs" in Path(place).relative_to(folder).parts:
            yield from (_log(folder, Path(place, name)) for name in sorted(names) if LOG.fullmatch(name))
    yield from (Missing(str(error.filename), error.strerror or str(error)) for error in unreadable)


def _log(folder: Path, path: Path) -> Log | Missing:
    label = str(path.relative_to(folder))
    try:
        about = path.stat()
        if path.is_symlink() and not LOG.fullmatch(path.resolve().name):
            return Missing(label, "it is a link to what is no log")
    except OSError as error:
        return Missing(label, error.strerror or str(error))
    if not stat.S_ISREG(about.st_mode):
        return Missing(label, "it is no file")
    return Log(path, label, about.st_size, about.st_mtime)


def newest_first(logs: list[Log]) -> tuple[list[Log], list[Missing]]:
    """Those that fit, and those that don't. Pure."""
    taken, left, used = list[Log](), list[Missing](), 0
    for log in sorted(logs, key=lambda log: (-log.changed_s, log.label)):
        used += min(log.size_bytes, LOG_BYTES)
        if used <= ALL_LOGS_BYTES:
            taken.append(log)
        else:
            left.append(
                Missing(log.label, f"the newest logs fill the {ALL_LOGS_BYTES:,} bytes that there are for them")
            )
    return taken, left


def read_log(log: Log) -> Text:
    """Its last whole lines. Raises `OSError`, `EOFError` for what can't be unpacked."""
    data, is_all = _last_packed(log.path) if log.path.suffix == ".gz" else _last(log.path)
    if is_all:
        return Text(f"logs/{log.label}", data.decode(errors="replace"))
    # what stands before the first line break may be the end of a secret, by which it would not be known
    lines = data.partition(b"\n")[2]
    return Text(f"logs/{log.label}", lines.decode(errors="replace"), f"the last {len(lines):,} bytes of it")


def _last(path: Path) -> tuple[bytes, bool]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES))
        return file.read(LOG_BYTES), size <= LOG_BYTES


def _last_packed(path: Path) -> tuple[bytes, bool]:
    chunks, kept, total = deque[bytes](), 0, 0
    with gzip.open(path) as file:
        while (chunk := file.read(CHUNK_BYTES)) and total < LARGEST_UNPACKED_BYTES:
            chunks.append(chunk)
            kept, total = kept + len(chunk), total + len(chunk)
            while kept - len(chunks[0]) >= LOG_BYTES:
                kept -= len(chunks.popleft())
    return b"".join(chunks)[-LOG_BYTES:], total <= LOG_BYTES
