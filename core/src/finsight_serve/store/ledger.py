"""The ledger: one row per request that reached the load balancer, unique by id. A file of its own, since it grows."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..domain.figures import Figures
from ..plugin import Request
from .database import Database, StoreError
from .ledger_queries import (
    EVERYTHING,
    Arrival,
    Counters,
    Hour,
    Row,
    Selection,
    Totals,
    Usage,
    select_arrivals,
    select_counters,
    select_figures,
    select_hours,
    select_page,
    select_tenants,
    select_totals,
    select_usage,
    select_window,
)
from .ledger_schema import MIGRATIONS, TTFT_BUCKETS_S

__all__ = [
    "FILE_NAME",
    "MIGRATIONS",
    "TTFT_BUCKETS_S",
    "Arrival",
    "Counters",
    "Hour",
    "Ledger",
    "Row",
    "Selection",
    "Totals",
    "Usage",
]

FILE_NAME = "ledger.db"
CACHE_KIB = 32 * 1024  # ids come in no order, so with SQLite's 2 MiB nearly every row of a large file is a read


class Ledger:
    """Opened by whoever holds the lease, or read-only by anyone beside it. Raises `StoreError`."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._db = Database(folder / FILE_NAME, MIGRATIONS, read_only=read_only)
        if read_only and self._db.call_now(_schema) < len(MIGRATIONS):
            self._db.close()
            raise StoreError(f"{folder / FILE_NAME}: written by an older version; the next `fs serve` upgrades it")
        self._db.call_now(lambda db: db.execute(f"PRAGMA cache_size = -{CACHE_KIB}"))
        self._newest_version: int | None = None  # not looked for yet

    def cursor(self) -> str:
        """Where the load balancer's log is to be read on from; "" at first."""
        return self._db.call_now(_cursor)

    async def add(self, requests: Sequence[Request]) -> None:
        """Idempotent: a request that comes twice is one row. The cursor moves in the same transaction."""
        await self._db.call(_add, requests)
        if self._newest_version is not None:
            self._newest_version = max(self._newest_version, *(request.route_version for request in requests), 0)

    def newest_version(self) -> int:
        """The highest number of a route table by which a request was routed; 0 where there is none."""
        if self._newest_version is None:
            self._newest_version = self._db.call_now(_newest_version)
        return self._newest_version

    def totals(
        self,
        *,
        since_s: float = 0.0,
        tenant: str | None = None,
        deployment: str | None = None,
    ) -> tuple[Totals, ...]:
        """By tenant and deployment, of requests that began at `since_s` or later.

        A deployment "" is none: the request was refused, or belongs to nobody.
        """
        return self.totals_of(Selection(tenant, deployment, since_s=since_s))

    def totals_of(self, selection: Selection) -> tuple[Totals, ...]:
        return self._db.call_now(select_totals, selection)

    def usage(
        self, since_s: float, until_s: float, *, tenant: str | None = None, deployment: str | None = None
    ) -> tuple[Usage, ...]:
        """By tenant and deployment, of requests that began in [since_s, until_s)."""
        return self._db.call_now(select_usage, Selection(tenant, deployment, since_s=since_s, until_s=until_s))

    def counters(self) -> tuple[Counters, ...]:
        """By tenant and deployment, of all requests that ever ended; a deployment "" as in `totals`."""
        return self._db.call_now(select_counters)

    def hours(self, since_s: float) -> tuple[Hour, ...]:
        """By hour and deployment, from the hour on that holds `since_s`; none for an hour without a request."""
        return self._db.call_now(select_hours, since_s)

    def window(self, deployment: str, ended_after_s: float, *, began_after_s: float = 0.0) -> Figures:
        """Of the newest 5,000 that ended, and began, after that, if there were more."""
        return self._db.call_now(select_window, deployment, ended_after_s, began_after_s)

    def figures(
        self,
        tenant: str,
        deployments: Collection[str],
        *,
        from_version: int = 0,
        since_s: float = 0.0,
    ) -> Figures:
        """Of one tenant at those deployments together; the counts are exact, times are of each one's newest 5,000."""
        selection = Selection(tenant, from_version=from_version, since_s=since_s)
        return self._db.call_now(select_figures, selection, deployments)

    def rows(self, selection: Selection = EVERYTHING) -> Iterator[Row]:
        """By time of arrival, read in pages."""
        after = (selection.since_s, "")
        while page := self._db.call_now(select_page, selection, after):
            yield from page
            after = (page[-1].started_s, page[-1].id)

    def arrivals(self, *, deployment: str | None = None, since_s: float = 0.0) -> Iterator[Arrival]:
        """By time, read in pages: a ledger may hold millions."""
        after = (since_s, "")
        while page := self._db.call_now(select_arrivals, deployment, after):
            yield from (Arrival(*row[:4]) for row in page)
            after = (page[-1][0], page[-1][4])

    def tenants(self) -> tuple[str, ...]:
        """All that ever asked, those removed since included."""
        return tuple(self._db.call_now(select_tenants))

    def close(self) -> None:
        self._db.close()


def _schema(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _cursor(db: sqlite3.Connection) -> str:
    row = db.execute("SELECT value FROM cursor").fetchone()
    return str(row[0]) if row else ""


def _newest_version(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(route_version), 0) FROM tally").fetchone()[0])


def _add(db: sqlite3.Connection, requests: Sequence[Request]) -> None:
    # not INSERT OR IGNORE, which would rule within the trigger, too
    db.executemany(
        """INSERT INTO request (id, tenant, deployment, replica, status, outcome, started_s, duration_s, ttft_s,
                                route_version, sent_bytes, prompt_tokens, completion_tokens, tokens_from, ended_s)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
        [
            (
                *(r.id, r.tenant, r.deployment, r.replica, r.status, r.outcome, r.started_s, r.duration_s, r.ttft_s),
                *(r.route_version, r.sent_bytes, r.prompt_tokens, r.completion_tokens, r.tokens_from),
                r.started_s + (r.duration_s or 0.0),
            )
            for r in requests
        ],
    )
    if requests:
        db.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (requests[-1].cursor,))
