"""Which logs are taken, how much of each, and what is said of the others."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.support import logs
from finsight_serve.support.logs import Log, find_logs, newest_first, read_log
from finsight_serve.support.parts import Missing


def write(path: Path, data: bytes = b"ready\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def labels(folder: Path) -> set[str]:
    return {one.label for one in find_logs(folder) if isinstance(one, Log)}


def missing(folder: Path) -> dict[str, str]:
    return {one.what: one.why for one in find_logs(folder) if isinstance(one, Missing)}


def test_logs_and_rotated_ones_in_folders_of_logs_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "controller.log",
        "chat/1.log.1",
        "error.log-20261129",
        "old.log.2.gz",
        "upstream_keys.conf",
        "key.pem",
    ):
        write(tmp_path / "logs" / name)
    write(tmp_path / "backends" / "one" / "logs" / "deep" / "x.log")
    write(tmp_path / "ledger" / "requests.log")
    write(tmp_path / "auth_token")
    named = {"controller.log", "chat/1.log.1", "error.log-20261129", "old.log.2.gz"}
    assert labels(tmp_path) == {*(f"logs/{name}" for name in named), "backends/one/logs/deep/x.log"}


def test_links_are_followed_once_and_only_to_logs(tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "s", tmp_path / "session"
    write(elsewhere / "worker.log")
    (elsewhere / "again").symlink_to(elsewhere)
    write(tmp_path / "config")
    (state / "logs").mkdir(parents=True)
    (state / "logs" / "session").symlink_to(elsewhere)
    (state / "logs" / "one.log").symlink_to(elsewhere / "worker.log")
    (state / "logs" / "sneaky.log").symlink_to(tmp_path / "config")
    (state / "logs" / "lost.log").symlink_to(tmp_path / "nowhere.log")
    assert labels(state) == {"logs/session/worker.log", "logs/one.log"}
    assert missing(state) == {
        "logs/sneaky.log": "it is a link to what is no log",
        "logs/lost.log": "No such file or directory",
    }


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    os.mkfifo(tmp_path / "logs" / "pipe.log")
    assert missing(tmp_path) == {"logs/pipe.log": "it is no file"}


def test_a_folder_that_can_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "logs" / "a.log")
    listed = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("logs"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert missing(tmp_path) == {str(tmp_path / "logs"): "Permission denied"}


def read(path: Path) -> tuple[str, str]:
    about = path.stat()
    found = read_log(Log(path, path.name, about.st_size, about.st_mtime))
    assert found.path == f"logs/{path.name}"
    return found.text, found.note


def test_a_short_log_is_whole(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.log", b"one\ntwo\xff\n")) == ("one\ntwo\ufffd\n", "")
    assert read(write(tmp_path / "empty.log", b"")) == ("", "")


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), min_size=1), st.integers(1, 60))
def test_of_a_long_log_the_last_whole_lines_are_taken(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "LOG_BYTES", limit)
        patch.setattr(logs, "CHUNK_BYTES", 7)
        data = b"\n".join(lines)
        folder = tmp_path_factory.mktemp("logs")
        plain = write(folder / "a.log", data)
        packed = write(folder / "a.log.1.gz", gzip.compress(data))
        for path in (plain, packed):
            text, note = read(path)
            assert data.decode(errors="replace").endswith(text)
            if len(data) <= limit:
                assert (text, note) == (data.decode(errors="replace"), "")
            else:
                assert note and len(text.encode()) <= 3 * limit
                assert text == "" or data.endswith(b"\n" + data[len(data) - limit :].partition(b"\n")[2])


def test_what_can_not_be_unpacked_is_raised(tmp_path: Path) -> None:
    with pytest.raises((OSError, EOFError)):
        read(write(tmp_path / "a.log.1.gz", b"no gzip"))


def test_the_newest_are_taken_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ALL_LOGS_BYTES", 2 * logs.LOG_BYTES)
    made = [
        Log(Path(name), name, 10 * logs.LOG_BYTES, changed_s)
        for name, changed_s in (("a", 1.0), ("b", 3.0), ("c", 2.0))
    ]
    taken, left = newest_first(made)
    assert [log.label for log in taken] == ["b", "c"]
    assert [one.what for one in left] == ["a"] and "fill the" in left[0].why
