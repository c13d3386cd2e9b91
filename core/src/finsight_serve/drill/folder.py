"""The folder of a drill: made, found again where that drill was killed, and removed with all that runs in it.

Its name is short, since sockets lie in it. It holds who made it, so that another drill's is left alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from . import family

PREFIX, MAKER = "fs-drill-", "maker.json"
STATE = "s"
DOWN_S = 240.0
ROUNDS = 5
"""Whoever is ended while it starts another has started it: it is looked again until nobody is found."""


def make() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    me = psutil.Process()
    (folder / MAKER).write_text(json.dumps({"pid": me.pid, "started_s": me.create_time()}))
    return folder


def left_behind() -> Iterator[Path]:
    """This user's, whose maker is gone."""
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with suppress(OSError):
            if folder.is_dir() and folder.stat().st_uid == os.getuid() and not _maker_lives(folder):
                yield folder.resolve()


def remove(folder: Path) -> list[str]:
    """Ends what runs there, in order where that can be had, and removes it. What `fs down` left behind is returned."""
    processes = family.members(folder)
    for process in processes:
        with suppress(psutil.Error):
            process.resume()  # what a drill has stopped could not end
    if (folder / STATE / "state.db").exists():
        argv = [sys.executable, "-m", "finsight_serve", "down", "--file", str(folder / "fs.yaml")]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*argv, "--state", str(folder / STATE)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=DOWN_S,
                start_new_session=True,
                check=False,
            )
    told = []
    for _ in range(ROUNDS):
        left = family.members(folder)
        told += [_describe(process) for process in left]
        family.end(left)
        if not left:
            break
    shutil.rmtree(folder, ignore_errors=True)
    return told


def _maker_lives(folder: Path) -> bool:
    try:
        told = json.loads((folder / MAKER).read_text())
        return bool(abs(psutil.Process(told["pid"]).create_time() - told["started_s"]) < 2)
    except FileNotFoundError:
        return bool(folder.stat().st_mtime > psutil.Process().create_time())  # just being made
    except (ValueError, KeyError, psutil.Error):
        return False


def _describe(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid}: {' '.join(process.cmdline())[:120] or process.name()}"
    return str(process.pid)
