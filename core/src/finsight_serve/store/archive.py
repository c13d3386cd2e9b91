"""A backup: one tar file with a consistent copy of both databases."""

import os
import tarfile
import tempfile
from pathlib import Path

from ..errors import UserError
from . import ledger, store
from .database import Database, StoreError
from .lease import Lease

FILES = {store.FILE_NAME: store.MIGRATIONS, ledger.FILE_NAME: ledger.MIGRATIONS}


def write_archive(folder: Path, target: Path) -> None:
    """Safe beside a running controller. Raises `UserError`; a half-written archive never bears the target's name."""
    missing = [name for name in FILES if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder}: there is no {missing[0]} to back up")
    partial = target.with_name(target.name + ".partial")
    try:
        with tempfile.TemporaryDirectory() as copies:
            for name, migrations in FILES.items():
                database = Database(folder / name, migrations, read_only=True)
                database.backup(Path(copies) / name)
                database.close()
            private = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(private, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
                for name in FILES:
                    archive.add(Path(copies) / name, arcname=name)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"{target}: can't be written ({error.strerror})") from error


def read_archive(source: Path, folder: Path) -> None:
    """Checks the archive before anything is replaced. Raises `UserError`, `LeaseTaken` while a controller runs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Lease(folder), tempfile.TemporaryDirectory(dir=folder) as fresh:
        _unpack(source, Path(fresh))
        for name in FILES:
            old = folder / name
            if old.exists():
                old.replace(old.with_name(name + ".replaced"))
            wal = folder / f"{name}-wal"
            if wal.exists():  # commits that a killed controller left there belong to the replaced file
                wal.replace(folder / f"{name}.replaced-wal")
            (folder / f"{name}-shm").unlink(missing_ok=True)
            (Path(fresh) / name).replace(old)


def _unpack(source: Path, fresh: Path) -> None:
    try:
        with tarfile.open(source) as archive:
            for name in FILES:
                archive.extract(name, fresh, filter="data")
                (fresh / name).chmod(0o600)
        for name, migrations in FILES.items():
            Database(fresh / name, migrations).close()
    except (tarfile.TarError, KeyError, EOFError, OSError, StoreError) as error:
        cause = str(error).partition("\n")[0].rstrip(":")  # tarfile tells of each compression that it tried
        raise UserError(f"{source}: is no backup made by `fs state backup` ({cause})") from error
