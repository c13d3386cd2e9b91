"""What was found, freed from secrets and written: one .tar.gz, readable by its owner alone, with a manifest."""

import io
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import UserError
from .known import Known
from .parts import Found, Missing, Text, Value
from .redaction import Redactor

ROOT, MANIFEST = "support-bundle", "manifest.json"


@dataclass(frozen=True)
class Member:
    path: str
    data: bytes


def members(found: Iterable[Found], redactor: Redactor, about: Mapping[str, Any]) -> Iterator[Member]:
    """Everything without secrets, the manifest last. `about` stands at its head. Pure."""
    taken, files, missing = {MANIFEST}, list[Mapping[str, Any]](), list[Mapping[str, Any]]()
    for one in found:
        if isinstance(one, Missing):
            missing.append({"what": one.what, "why": one.why})
        elif isinstance(one, Text | Value):
            text = redactor.text(one.text) if isinstance(one, Text) else redactor.json(one.value) + "\n"
            path = _free(_safe(redactor.text(one.path)), taken)
            taken.add(path)
            data = text.encode(errors="replace")
            files.append({"path": path, "bytes": len(data), **({"note": one.note} if one.note else {})})
            yield Member(path, data)
    manifest = {**about, "files": files, "missing": missing}
    yield Member(MANIFEST, (redactor.json(manifest) + "\n").encode(errors="replace"))


def redactor_for(found: Iterable[Found], *, is_sure: bool) -> Redactor:
    known = Known()
    for one in found:
        if isinstance(one, Known):
            known |= one
    return Redactor(known.searched(), known.key_sha256, is_sure)


def _safe(path: str) -> str:
    """A relative path that unpacks below its folder, whatever a plugin calls its artefacts."""
    parts = [re.sub(r"[^\w.@+\[\]-]", "_", part) for part in path.split("/")]
    return "/".join(part for part in parts if part.strip(".")) or "unnamed"


def _free(path: str, taken: set[str]) -> str:
    number = 2
    free = path
    while free in taken:
        free, number = f"{path}-{number}", number + 1
    return free


@contextmanager
def drafted(folder: Path) -> "Iterator[Draft]":
    """A file in `folder` under a passing name, until it is published. Raises `UserError`."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".support-bundle-", dir=folder)  # mode 0600
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); choose another place with -o FILE") from error
    draft = Draft(Path(name), os.fdopen(descriptor, "wb"))
    try:
        yield draft
    finally:
        draft.file.close()
        draft.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Draft:
    path: Path
    file: IO[bytes]

    def write(self, content: Iterable[Member], made_s: float) -> int:
        """How many files. Raises `OSError`."""
        count = 0
        with tarfile.open(fileobj=self.file, mode="w:gz", compresslevel=6) as archive:
            for member in content:
                entry = tarfile.TarInfo(f"{ROOT}/{member.path}")
                entry.size, entry.mode, entry.mtime = len(member.data), 0o600, int(made_s)
                archive.addfile(entry, io.BytesIO(member.data))
                count += 1
        self.file.flush()
        os.fsync(self.file.fileno())
        return count

    def publish(self, target: Path, *, force: bool) -> None:
        """Raises `FileExistsError` where one is there, or came meanwhile, and is not to be replaced; `OSError`."""
        if not force:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # the name is ours from here on
        self.path.replace(target)
