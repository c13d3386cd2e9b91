"""The one truth: documents of the controller's state, its events, and the id that marks what it owns."""

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..domain import Event
from ..domain.audit import AuditEntry
from .database import Database, StoreError

__all__ = ["Store", "StoreError"]

FILE_NAME = "state.db"
EVENTS_KEPT = 20_000

MIGRATIONS = (
    """
    CREATE TABLE document (name TEXT PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY, at_s REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
        reason TEXT NOT NULL, data TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at_s REAL NOT NULL, "by" TEXT NOT NULL, action TEXT NOT NULL,
        subject TEXT NOT NULL, "before" TEXT NOT NULL, "after" TEXT NOT NULL
    );
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
    CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
    CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = new.id)
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
    """,
)


class Store:
    """Opened by whoever holds the lease, or read-only by anyone. Raises `StoreError`."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._db = Database(folder / FILE_NAME, MIGRATIONS, read_only=read_only)
        if not read_only and self.read("owner") is None:
            self.write_now({"owner": uuid.uuid4().hex})

    def read(self, name: str) -> str | None:
        return self._db.call_now(_read, name)

    def owner(self) -> str:
        """This store's own id, made with it."""
        return self.read("owner") or ""

    def write_now(
        self, documents: Mapping[str, str], events: Sequence[Event] = (), audit: Sequence[AuditEntry] = ()
    ) -> None:
        """As `commit`, where no event loop runs."""
        self._db.call_now(_write, documents, events, audit)

    async def commit(
        self, documents: Mapping[str, str], events: Sequence[Event], audit: Sequence[AuditEntry] = ()
    ) -> None:
        """All or nothing, on disk when it returns."""
        await self._db.call(_write, documents, events, audit)

    def events(self, *, last: int) -> tuple[Event, ...]:
        """The newest `last` events, oldest first."""
        return self._db.call_now(_events, last)

    def audit(self, *, last: int, subject: str = "") -> tuple[AuditEntry, ...]:
        """The newest `last` entries whose subject contains `subject` as whole words, oldest first."""
        return self._db.call_now(_audit, last, subject)

    def backup(self, target: Path) -> None:
        self._db.backup(target)

    def close(self) -> None:
        self._db.close()


def _read(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT body FROM document WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else None


def _write(
    db: sqlite3.Connection, documents: Mapping[str, str], events: Sequence[Event], audit: Sequence[AuditEntry]
) -> None:
    db.executemany("INSERT OR REPLACE INTO document VALUES (?, ?)", documents.items())
    rows = [(e.at_s, e.kind, e.subject, e.reason, json.dumps(dict(e.data))) for e in events]
    db.executemany("INSERT INTO event (at_s, kind, subject, reason, data) VALUES (?, ?, ?, ?, ?)", rows)
    db.executemany(
        'INSERT INTO audit (at_s, "by", action, subject, "before", "after") VALUES (?, ?, ?, ?, ?, ?)',
        [(one.at_s, one.by, one.action, one.subject, one.before, one.after) for one in audit],
    )
    if rows:
        db.execute("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (EVENTS_KEPT,))


def _audit(db: sqlite3.Connection, last: int, subject: str) -> tuple[AuditEntry, ...]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'").fetchone():
        return ()  # an older version wrote it, and who only reads brings nothing up to date
    rows = db.execute(
        """SELECT at_s, "by", action, subject, "before", "after" FROM audit
           WHERE instr(' ' || subject || ' ', ?) > 0 ORDER BY id DESC LIMIT ?""",
        (f" {subject} " if subject else "", last),
    ).fetchall()
    return tuple(AuditEntry(*row) for row in reversed(rows))


def _events(db: sqlite3.Connection, last: int) -> tuple[Event, ...]:
    rows = db.execute(
        "SELECT at_s, kind, subject, reason, data FROM event ORDER BY id DESC LIMIT ?", (last,)
    ).fetchall()
    return tuple(
        Event(at_s, kind, subject, reason, json.loads(data)) for at_s, kind, subject, reason, data in reversed(rows)
    )
