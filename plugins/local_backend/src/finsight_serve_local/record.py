"""What is known of each process that was started: a small JSON file per replica; nothing else need survive."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from finsight_serve.env import ProcessId

from .marks import find_leader


@dataclass(frozen=True)
class Record:
    id: str
    deployment: str
    port: int
    digest: str  # of what was started
    created_s: float  # Unix time
    attempt: int = 0  # predecessors that died in a row
    process: ProcessId | None = None  # None only between the decision to start it and the start
    ready: bool = False  # answered /health once; from then on whether it is well is not judged here
    draining: bool = False


class Records:
    """The folder of records. Its one writer is the orchestrator whose state folder it lies in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> list[Record]:
        """Oldest first."""
        return sorted(self._load(), key=lambda record: (record.created_s, record.id))

    def write(self, record: Record) -> None:
        """Atomic: a reader finds the old record or the new one."""
        replace_file(self._folder / f"{record.id}.json", json.dumps(asdict(record)))

    def update(self, record: Record, *, ready: bool = False, draining: bool = False) -> None:
        """Sets marks; never brings back a record that was removed meanwhile."""
        with suppress(FileNotFoundError):
            now = _parse((self._folder / f"{record.id}.json").read_text())
            self.write(replace(now, ready=now.ready or ready, draining=now.draining or draining))

    def remove(self, id: str) -> None:
        (self._folder / f"{id}.json").unlink(missing_ok=True)

    @contextmanager
    def intent(self, record: Record) -> Iterator[None]:
        """Written before the start; taken back if the start raises."""
        self.write(record)
        try:
            yield
        except BaseException:
            self.remove(record.id)
            raise

    def _load(self) -> Iterator[Record]:
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError):  # removed since the listing
                record = _parse(path.read_text())
                yield record if record.process else replace(record, process=find_leader(record.id))


def replace_file(path: Path, text: str) -> None:
    """Atomic, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_suffix(".new")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(unfinished, path)


def _parse(text: str) -> Record:
    data = json.loads(text)
    process = data.pop("process")
    return Record(**data, process=ProcessId(**process) if process else None)
