"""What `fs support-bundle` wrote of a stand."""

import json
import tarfile
from pathlib import Path
from typing import Any

from .stand import Stand


def bundle(stand: Stand, *argv: str) -> tuple[dict[str, bytes], str]:
    """What is in it, and what was said on stderr."""
    target = stand.folder / "bundle.tar.gz"
    done = stand.fs("support-bundle", "-o", str(target), "--force", *argv)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert target.stat().st_mode & 0o777 == 0o600
    return unpack(target), done.stderr


def unpack(target: Path) -> dict[str, bytes]:
    with tarfile.open(target) as archive:
        files = {entry.name.removeprefix("support-bundle/"): archive.extractfile(entry) for entry in archive}
        return {name: file.read() for name, file in files.items() if file}


def parsed(files: dict[str, bytes], name: str) -> Any:
    return json.loads(files[name])
