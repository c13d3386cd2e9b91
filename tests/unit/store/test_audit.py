import sqlite3
from pathlib import Path

import pytest

from finsight_serve.domain.audit import AuditEntry
from finsight_serve.store import Ledger, Store
from finsight_serve.store.archive import read_archive, write_archive
from finsight_serve.store.store import MIGRATIONS

pytestmark = pytest.mark.anyio


def entry(subject: str, action: str = "key_issued") -> AuditEntry:
    return AuditEntry(1.5, "ann", action, subject, "no key", "key 1 of 1 (01234567)")


async def test_what_was_audited_is_read_back_oldest_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written = [entry("tenant a"), entry("tenant b"), entry("migration m1 of tenant a")]
    await store.commit({}, (), written[:1])
    store.write_now({}, (), written[1:])
    assert store.audit(last=10) == tuple(written)
    assert store.audit(last=2) == tuple(written[1:])
    assert store.audit(last=10, subject="tenant a") == (written[0], written[2])
    assert store.audit(last=1, subject="tenant a") == (written[2],)
    assert store.audit(last=10, subject="m1") == (written[2],)
    assert [store.audit(last=10, subject=part) for part in ("%", "m", "tenan", "ant a")] == [()] * 4
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE audit SET "by" = 'nobody'""",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 1",
        "INSERT OR REPLACE INTO audit VALUES (1, 0, '', '', '', '', '')",
    ],
)
def test_it_is_append_only(tmp_path: Path, statement: str) -> None:
    store = Store(tmp_path)
    store.write_now({}, (), [entry("tenant a")])
    with sqlite3.connect(tmp_path / "state.db") as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    other.close()
    assert store.audit(last=10) == (entry("tenant a"),)
    store.close()


def test_with_what_cannot_be_stored_nothing_is_audited(tmp_path: Path) -> None:
    store = Store(tmp_path)
    broken = AuditEntry(1.0, "ann", "key_issued", "tenant b", None, "")  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        store.write_now({"state": "{}"}, (), [entry("tenant a"), broken])
    assert store.audit(last=10) == () and store.read("state") is None
    store.close()


def first_version(folder: Path) -> None:
    with sqlite3.connect(folder / "state.db") as db:
        db.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1")
        db.execute("INSERT INTO document VALUES ('state', '{}'), ('owner', 'me')")
        db.execute("INSERT INTO event VALUES (7, 1.0, 'applied', 'chat', 'so', '{}')")
    db.close()


def test_a_state_without_an_audit_gets_one_and_keeps_what_it_has(tmp_path: Path) -> None:
    first_version(tmp_path)
    store = Store(tmp_path)
    assert (store.read("state"), store.owner()) == ("{}", "me")
    assert [event.kind for event in store.events(last=9)] == ["applied"]
    store.write_now({}, (), [entry("tenant a")])
    assert store.audit(last=10) == (entry("tenant a"),)
    store.close()


def test_who_only_reads_a_state_without_an_audit_finds_none(tmp_path: Path) -> None:
    first_version(tmp_path)
    reader = Store(tmp_path, read_only=True)
    assert reader.audit(last=10) == ()
    reader.close()


def test_a_backup_of_a_state_without_an_audit_is_brought_up_to_date_when_it_is_put_back(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    first_version(old)
    Ledger(old).close()
    write_archive(old, tmp_path / "backup.tar.gz")
    read_archive(tmp_path / "backup.tar.gz", new)
    store = Store(new)
    store.write_now({}, (), [entry("tenant a")])
    assert (store.read("state"), store.audit(last=10)) == ("{}", (entry("tenant a"),))
    store.close()
