import tarfile
from pathlib import Path

import pytest

from finsight_serve.errors import UserError
from finsight_serve.store import Lease, LeaseTaken, Ledger, Store
from finsight_serve.store.archive import read_archive, write_archive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    store = Store(folder)
    store.write_now({"state": "first"})
    store.close()
    Ledger(folder).close()
    return folder


def value(folder: Path) -> str | None:
    store = Store(folder, read_only=True)
    try:
        return store.read("state")
    finally:
        store.close()


def change(folder: Path, body: str) -> None:
    store = Store(folder)
    store.write_now({"state": body})
    store.close()


def test_a_restored_state_is_the_backed_up_one_and_the_replaced_is_kept(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.tar.gz"
    write_archive(folder, target)
    assert target.stat().st_mode & 0o777 == 0o600
    change(folder, "second")
    read_archive(target, folder)
    assert value(folder) == "first"
    assert (folder / "state.db.replaced").exists()


def test_a_backup_is_made_while_a_writer_is_open(folder: Path, tmp_path: Path) -> None:
    writer = Store(folder)
    writer.write_now({"state": "not yet in the main file"})
    write_archive(folder, tmp_path / "backup.tar.gz")
    writer.close()
    elsewhere = tmp_path / "elsewhere"
    read_archive(tmp_path / "backup.tar.gz", elsewhere)
    assert value(elsewhere) == "not yet in the main file"


def test_nothing_is_restored_under_a_running_controller(folder: Path, tmp_path: Path) -> None:
    write_archive(folder, tmp_path / "backup.tar.gz")
    change(folder, "second")
    with Lease(folder), pytest.raises(LeaseTaken):
        read_archive(tmp_path / "backup.tar.gz", folder)
    assert value(folder) == "second"


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08garbage"])
def test_what_is_no_backup_replaces_nothing(folder: Path, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "backup.tar.gz"
    source.write_bytes(content)
    with pytest.raises(UserError, match=r"backup\.tar\.gz: is no backup made by `fs state backup`"):
        read_archive(source, folder)
    assert value(folder) == "first" and not (folder / "state.db.replaced").exists()


def test_an_archive_of_other_files_replaces_nothing(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "other.tar"
    with tarfile.open(source, "w") as archive:
        archive.add(__file__, arcname="state.db")
    with pytest.raises(UserError, match="is no backup"):
        read_archive(source, folder)
    assert value(folder) == "first"


def test_nothing_to_back_up_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no state\.db to back up"):
        write_archive(tmp_path, tmp_path / "backup.tar.gz")
    assert not (tmp_path / "backup.tar.gz").exists()
