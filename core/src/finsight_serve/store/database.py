"""A SQLite file with a version: opened, brought up to date step by step, and used from one thread."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ..errors import UserError

P = ParamSpec("P")
T = TypeVar("T")


class StoreError(UserError):
    """The state can't be read or written: which file, why, and what to do about it."""


class Database:
    """`call(function, …)` runs `function(connection, …)` as one transaction on the file's own thread."""

    def __init__(self, path: Path, migrations: Sequence[str], *, read_only: bool = False) -> None:
        self.path = path
        self._connection = _open(path, migrations, read_only=read_only)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=path.stem)

    def call_now(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return self._thread.submit(self._transact, partial(function, self._connection, *args, **kwargs)).result()

    async def call(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        work = partial(self._transact, partial(function, self._connection, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _transact(self, work: Callable[[], T]) -> T:
        try:
            with self._connection:
                return work()
        except sqlite3.Error as error:
            raise StoreError(_explain(self.path, error)) from error

    def backup(self, target: Path) -> None:
        """A consistent copy, also while it is written to."""
        with sqlite3.connect(target) as copy:
            target.chmod(0o600)
            self._connection.backup(copy)
        copy.close()

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._connection.close()


def _open(path: Path, migrations: Sequence[str], *, read_only: bool) -> sqlite3.Connection:
    try:
        if not read_only:
            path.touch(mode=0o600)
        mode = "ro" if read_only else "rw"
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, check_same_thread=False)
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path, migrations, read_only=read_only)
        return connection
    except (sqlite3.Error, OSError) as error:
        raise StoreError(_explain(path, error)) from error


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str], *, read_only: bool) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        connection.close()
        known = f"schema {version}, this one knows {len(migrations)}"
        raise StoreError(f"{path}: written by a newer version ({known}); upgrade finsight-serve")
    if read_only:
        return
    for number in range(version, len(migrations)):
        connection.executescript(f"BEGIN; {migrations[number]}; PRAGMA user_version = {number + 1}; COMMIT;")


def _explain(path: Path, error: Exception) -> str:
    text = str(error)
    if "disk is full" in text or getattr(error, "errno", None) == 28:
        return f"{path}: the disk is full; free some space there"
    if (
        "readonly" in text
        or "unable to open" in text
        or isinstance(error, PermissionError)
        or getattr(error, "errno", None) == 30
    ):
        return f"{path}: the folder can't be written; choose another with --state DIR"
    if "not a database" in text or "malformed" in text:
        return f"{path}: is damaged ({text}); put a copy back with `fs state restore FILE`"
    return f"{path}: {text}"
