import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from finsight_serve.domain import Event
from finsight_serve.plugin import Request
from finsight_serve.store import Lease, LeaseTaken, Ledger, Store, StoreError
from finsight_serve.store.ledger import Totals

pytestmark = pytest.mark.anyio


def event(kind: str) -> Event:
    return Event(1.0, kind, "chat", "because", {"n": 1})


def request(id: str, *, outcome: str = "complete", cursor: str = "1") -> Request:
    return Request(cursor, id, "default", "chat", "127.0.0.1:1", 200, outcome, 5.0, 1.0, 0.1)  # type: ignore[arg-type]


async def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path)
    owner = store.owner()
    await store.commit({"state": "{}"}, [event("one"), event("two")])
    store.close()
    again = Store(tmp_path)
    assert (again.read("state"), again.owner()) == ("{}", owner)
    assert [e.kind for e in again.events(last=10)] == ["one", "two"]
    assert again.events(last=1) == (event("two"),)
    again.close()


async def test_a_reader_sees_what_a_writer_commits(tmp_path: Path) -> None:
    writer = Store(tmp_path)
    reader = Store(tmp_path, read_only=True)
    await writer.commit({"state": "new"}, ())
    assert reader.read("state") == "new"
    with pytest.raises(StoreError, match="can't be written"):
        reader.write_now({"state": "x"})
    writer.close()
    reader.close()


def test_the_state_is_private(tmp_path: Path) -> None:
    Store(tmp_path).close()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def test_a_newer_schema_is_refused_by_name(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match=r"state\.db: written by a newer version \(schema 99.*upgrade"):
        Store(tmp_path)


def test_a_damaged_file_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"state\.db: is damaged .*fs state restore"):
        Store(tmp_path)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pages = store._db.call_now(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    store._db.call_now(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))  # SQLite's own "disk is full"
    with pytest.raises(StoreError, match=r"state\.db: the disk is full; free some space there"):
        store.write_now({"big": "x" * 100_000})
    assert store.read("big") is None
    store.close()


def test_a_backup_is_a_whole_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_now({"state": "kept"})
    copies = tmp_path / "copies"
    copies.mkdir()
    store.backup(copies / "state.db")
    store.close()
    copy = Store(copies)
    assert copy.read("state") == "kept"
    copy.close()


async def test_a_request_that_comes_twice_is_one_row(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.cursor() == ""
    await ledger.add([request("a"), request("b", outcome="truncated", cursor="2")])
    await ledger.add([request("b", outcome="truncated", cursor="2"), request("c", outcome="unknown", cursor="3")])
    assert ledger.cursor() == "3"
    assert ledger.totals() == (Totals("default", "chat", 3, 1, 1, 0, 0, 1),)
    assert ledger.totals(since_s=6.0) == ()
    ledger.close()


def test_the_lease_has_one_holder_and_ends_with_it(tmp_path: Path) -> None:
    with (
        Lease(tmp_path),
        pytest.raises(LeaseTaken, match=f"already runs on this state \\(pid {os.getpid()}\\)"),
        Lease(tmp_path),
    ):
        pass
    hold = (
        "import sys; from pathlib import Path; from finsight_serve.store import Lease\n"
        "with Lease(Path(sys.argv[1])): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LeaseTaken, match=f"pid {other.pid}"), Lease(tmp_path):
            pass
        other.kill()
    with Lease(tmp_path):
        pass
