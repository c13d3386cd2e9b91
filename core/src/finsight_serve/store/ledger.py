"""The ledger: one row per request that reached a deployment, unique by id. A file of its own, since it grows."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..plugin import Request
from .database import Database

FILE_NAME = "ledger.db"
PAGE_ROWS = 10_000

MIGRATIONS = (
    """
    CREATE TABLE request (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, deployment TEXT NOT NULL, replica TEXT NOT NULL,
        status INTEGER NOT NULL, outcome TEXT NOT NULL, started_s REAL NOT NULL, duration_s REAL, ttft_s REAL
    );
    CREATE INDEX request_started ON request (started_s);
    CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL)
    """,
)


@dataclass(frozen=True)
class Totals:
    """Counts of ledger rows; `requests` is the sum of the outcomes."""

    tenant: str
    deployment: str
    requests: int
    complete: int
    truncated: int
    client_closed: int
    failed: int
    unknown: int


@dataclass(frozen=True)
class Arrival:
    """What a trace needs of a request."""

    started_s: float
    tenant: str
    duration_s: float | None
    outcome: str


class Ledger:
    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._db = Database(folder / FILE_NAME, MIGRATIONS, read_only=read_only)

    def cursor(self) -> str:
        """Where the load balancer's log is to be read on from; "" at first."""
        return self._db.call_now(_cursor)

    async def add(self, requests: Sequence[Request]) -> None:
        """Idempotent: a request that comes twice is one row. The cursor moves in the same transaction."""
        await self._db.call(_add, requests)

    def totals(self, *, since_s: float = 0.0) -> tuple[Totals, ...]:
        return self._db.call_now(_totals, since_s)

    def arrivals(self, *, deployment: str | None = None, since_s: float = 0.0) -> Iterator[Arrival]:
        """By time, read in pages: a ledger may hold millions."""
        after = (since_s, "")
        while page := self._db.call_now(_arrivals, deployment, after):
            yield from (Arrival(*row[:4]) for row in page)
            after = (page[-1][0], page[-1][4])

    def close(self) -> None:
        self._db.close()


def _cursor(db: sqlite3.Connection) -> str:
    row = db.execute("SELECT value FROM cursor").fetchone()
    return str(row[0]) if row else ""


def _add(db: sqlite3.Connection, requests: Sequence[Request]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (r.id, r.tenant, r.deployment, r.replica, r.status, r.outcome, r.started_s, r.duration_s, r.ttft_s)
            for r in requests
        ],
    )
    if requests:
        db.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (requests[-1].cursor,))


def _totals(db: sqlite3.Connection, since_s: float) -> tuple[Totals, ...]:
    rows = db.execute(
        """SELECT tenant, deployment, count(*), sum(outcome = 'complete'), sum(outcome = 'truncated'),
                  sum(outcome = 'client_closed'), sum(outcome = 'failed'), sum(outcome = 'unknown')
           FROM request WHERE started_s >= ? GROUP BY tenant, deployment ORDER BY tenant, deployment""",
        (since_s,),
    ).fetchall()
    return tuple(Totals(*row) for row in rows)


def _arrivals(db: sqlite3.Connection, deployment: str | None, after: tuple[float, str]) -> list[tuple[Any, ...]]:
    return db.execute(
        """SELECT started_s, tenant, duration_s, outcome, id FROM request
           WHERE (started_s, id) > (?, ?) AND (? IS NULL OR deployment = ?) ORDER BY started_s, id LIMIT ?""",
        (*after, deployment, deployment, PAGE_ROWS),
    ).fetchall()
