"""The ledger on disk: nginx's access log, rotated by size, read by cursor.

A cursor is "<hash of the file's first line>:<offset>": a file keeps it when rotation renames it, and no other file
has it, since the line holds a request id. Rotated files are <number>.log in the order of time; nginx writes
current.log.
"""

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from finsight_serve.plugin import Request

from .control import Open
from .render import decode

Outcome = Literal["complete", "truncated", "client_closed", "failed", "unknown"]

QUIET_S = 2.0
"""A rotated file untouched for so long gets no more lines: workers reopen the log within milliseconds."""


def outcome(row: Mapping[str, str]) -> Outcome:
    """What became of a request. 500 and above is failed, whoever answered; a 4xx passed on whole is complete."""
    status = int(row["status"])
    if not status:
        return "unknown"
    if status == 499:
        return "client_closed"
    if status >= 500:
        return "failed"
    if row["completion"] != "OK":
        return "client_closed"
    by_replica = row["upstream"] != "" and row["method"] != "HEAD"
    if by_replica and not row["passed"]:
        return "truncated"
    is_stream, is_web_page = (row["type"].startswith(kind) for kind in ("text/event-stream", "text/html"))
    # a page is no answer of OpenAI's API: something else stands at the replica's address
    return "truncated" if by_replica and (is_web_page or (is_stream and not row["done"])) else "complete"


def parse(line: bytes, cursor: str) -> Request | None:
    """None for a line that is no ledger row: what a full disk left of one, say."""
    try:
        row = json.loads(line)
        last_try = row["upstream"].replace(" : ", ", ").split(", ")[-1]
        duration_s = float(row["duration_s"]) if row["duration_s"] else None
        return Request(
            cursor=cursor,
            id=row["id"],
            tenant=decode(row["tenant"]),
            deployment=decode(row["deployment"]),
            replica=last_try if ":" in last_try else "",
            status=int(row["status"]),
            outcome=outcome(row),
            started_s=round(float(row["ended_s"]) - (duration_s or 0.0), 3),
            duration_s=duration_s,
            ttft_s=float(row["ttft_s"]) if row["ttft_s"] else None,
            # a line written before an upgrade lacks these
            route_version=_number(row, "route_version") or 0,
            sent_bytes=_number(row, "sent_bytes"),
            prompt_tokens=_number(row, "prompt_tokens"),
            completion_tokens=_number(row, "completion_tokens"),
            tokens_from=_source(row.get("tokens_from", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _number(row: Mapping[str, str], name: str) -> int | None:
    return int(row[name]) if row.get(name) else None


def _source(name: str) -> Literal["usage", "chunks", ""]:
    return "usage" if name == "usage" else "chunks" if name == "chunks" else ""


def unknown(entry: Open) -> str:
    """The row of a request whose worker died: nobody saw how it ended."""
    blank = dict.fromkeys(("method", "upstream", "upstream_status", "type", "completion", "passed", "done"), "")
    row = {"id": entry.id, "tenant": entry.tenant, "deployment": entry.deployment, "status": "0", **blank}
    times = {"ended_s": f"{entry.started_s:.3f}", "duration_s": "", "ttft_s": ""}
    return json.dumps({**row, **times, "route_version": str(entry.route_version)})


class Ledger:
    def __init__(self, folder: Path, *, rotate_bytes: int = 32 * 2**20, keep: int = 8) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._renaming = threading.Lock()  # reading happens on a worker thread

    @property
    def current(self) -> Path:
        return self._folder / "current.log"

    def append(self, rows: Iterable[str]) -> None:
        """Outlives this process once it returns, as nginx's own lines do."""
        with self.current.open("ab") as file:
            file.write("".join(row + "\n" for row in rows).encode())

    def end(self) -> str:
        """The cursor behind everything written so far."""
        with self._renaming:
            files = self._files()
            return f"{_identity(files[-1])}:{files[-1].stat().st_size}" if files else ""

    def rotate(self) -> bool:
        """True if nginx must now be told to reopen its log (USR1)."""
        with self._renaming:
            if not self.current.exists():
                return True  # renamed by someone who died before telling
            if self.current.stat().st_size < self._rotate_bytes:
                return False
            rotated = self._files()[:-1]
            number = int(rotated[-1].stem) + 1 if rotated else 1
            self.current.rename(self._folder / f"{number:08d}.log")
            for path in self._files()[: -self._keep]:
                path.unlink()
            return True

    def read(self, after: str, now_s: float, most_bytes: int = 2**20) -> tuple[list[Request], str]:
        """Some requests after the cursor, and the cursor behind them; none if there is no more for now."""
        with self._renaming:
            files = self._files()
            start, offset = self._find(after, files)
            for path in files[start:]:
                requests, after, at_end = _read(path, offset, most_bytes, after)
                if requests or not at_end or path == self.current or not _is_quiet(path, now_s):
                    return requests, after
                offset = 0
        return [], after

    def _files(self) -> list[Path]:
        """Oldest first."""
        rotated = sorted(path for path in self._folder.glob("*.log") if path.stem.isdigit())
        return rotated + ([self.current] if self.current.exists() else [])

    def _find(self, cursor: str, files: list[Path]) -> tuple[int, int]:
        """Index into `files` and offset. A cursor of a file that is gone means the oldest there is."""
        identity, _, offset = cursor.rpartition(":")
        for index, path in enumerate(files):
            if identity and _identity(path) == identity:
                return index, int(offset)
        return 0, 0


def _identity(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline()
    return hashlib.sha256(line).hexdigest()[:16] if line.endswith(b"\n") else ""


def _read(path: Path, offset: int, most_bytes: int, after: str) -> tuple[list[Request], str, bool]:
    identity = _identity(path)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(most_bytes)
    lines = data.split(b"\n")[:-1]  # what follows the last line's end is not written yet
    requests = []
    for line in lines:
        offset += len(line) + 1
        after = f"{identity}:{offset}"
        if request := parse(line, after):
            requests.append(request)
    return requests, after, not lines


def _is_quiet(path: Path, now_s: float) -> bool:
    stat = path.stat()
    return now_s - max(stat.st_mtime, stat.st_ctime) > QUIET_S
