"""What is asked of the ledger, in SQL. Each query has an index of its own, or the tally by the hour."""

import math
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..domain.figures import Figures, nearest_rank

PAGE_ROWS = 10_000
NEWEST_ROWS = 5_000
"""Percentiles, and windows of the last seconds, are of so many requests at most: the newest."""
HOUR_S = 3600.0


@dataclass(frozen=True)
class Selection:
    """Which requests; those that began in [since_s, until_s) and were routed in [from_version, until_version)."""

    tenant: str | None = None
    deployment: str | None = None
    from_version: int = 0
    until_version: int | None = None
    since_s: float = 0.0
    until_s: float = math.inf


EVERYTHING = Selection()


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
    turned_away: int = 0  # of the complete ones: answered 4xx by the load balancer itself, as over a limit


@dataclass(frozen=True)
class Usage:
    """Tokens by tenant and deployment. `requests` are all there were, whether an answer came or not."""

    tenant: str
    deployment: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    by_chunks: int  # requests whose completion tokens are the chunks of their stream, counted
    uncounted: int  # requests answered, or perhaps answered, of which no tokens are known


@dataclass(frozen=True)
class Counters:
    """Of all requests of a tenant at a deployment that ever ended: none of these ever falls.

    `ttft_buckets` are requests by time to first byte, of answers with a status from 200 to 399: one bucket for each of
    `TTFT_BUCKETS_S`, one more for all above, none within another.
    """

    tenant: str
    deployment: str
    complete: int
    truncated: int
    client_closed: int
    failed: int
    unknown: int
    turned_away: int  # of the complete ones
    prompt_tokens: int
    completion_tokens: int
    ttft_sum_s: float
    ttft_buckets: tuple[int, ...]


@dataclass(frozen=True)
class Hour:
    """Requests of one deployment that began in one hour; a deployment "" as in `Ledger.totals`."""

    starts_s: float  # UTC epoch seconds, a whole hour
    deployment: str
    requests: int
    failed: int
    truncated: int


@dataclass(frozen=True)
class Arrival:
    """What a trace needs of a request."""

    started_s: float
    tenant: str
    duration_s: float | None
    outcome: str


@dataclass(frozen=True)
class Row:
    """One request, as it is exported."""

    id: str
    tenant: str
    deployment: str
    replica: str
    route_version: int
    status: int
    outcome: str
    started_s: float
    ended_s: float  # where nobody saw the end, as `started_s`
    duration_s: float | None
    ttft_s: float | None
    sent_bytes: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens_from: str


def select_totals(db: sqlite3.Connection, selection: Selection) -> tuple[Totals, ...]:
    return tuple(Totals(*row) for row in _sums(db, selection, [field.name for field in fields(Totals)][2:]))


def select_usage(db: sqlite3.Connection, selection: Selection) -> tuple[Usage, ...]:
    return tuple(Usage(*row) for row in _sums(db, selection, [field.name for field in fields(Usage)][2:]))


def select_counters(db: sqlite3.Connection) -> tuple[Counters, ...]:
    """Costs by the number of tenants and deployments, whatever the ledger holds."""
    names = [field.name for field in fields(Counters)][:-1]

    def counters(row: tuple[Any, ...]) -> Counters:
        return Counters(**dict(zip(names, row, strict=False)), ttft_buckets=row[len(names) :])

    return tuple(map(counters, db.execute("SELECT * FROM total")))


def select_hours(db: sqlite3.Connection, since_s: float) -> tuple[Hour, ...]:
    found = db.execute(
        """SELECT hour, deployment, sum(requests), sum(failed), sum(truncated) FROM tally
           WHERE hour >= ? GROUP BY 1, 2 ORDER BY 1, 2""",
        (math.floor(since_s / HOUR_S),),
    )
    return tuple(Hour(hour * HOUR_S, *rest) for hour, *rest in found)


def _sums(db: sqlite3.Connection, selection: Selection, counts: Sequence[str]) -> list[tuple[Any, ...]]:
    """Whole hours by the tally, what is left at both ends by the rows."""
    parts, values = [], list[Any]()
    for table, column, first, end in _spans(selection.since_s, selection.until_s):
        where, given = _where(selection, f"{column} >= ?", f"{column} < ?")
        parts.append(f"SELECT tenant, deployment, {', '.join(counts)} FROM {table} WHERE {where}")
        values += [first, end, *given]
    sums = ", ".join(f"sum({name})" for name in counts)
    return db.execute(
        f"SELECT tenant, deployment, {sums} FROM ({' UNION ALL '.join(parts)}) GROUP BY 1, 2 ORDER BY 1, 2", values
    ).fetchall()


def _spans(since_s: float, until_s: float) -> list[tuple[str, str, float, float]]:
    """(table, its column of time, from, until) that together are [since_s, until_s)."""
    first = math.ceil(since_s / HOUR_S)
    end = math.floor(until_s / HOUR_S) if until_s < math.inf else math.inf
    if first >= end:
        return [("counted", "started_s", since_s, until_s)]
    spans: list[tuple[str, str, float, float]] = [("tally", "hour", first, end)]
    if since_s < first * HOUR_S:
        spans.append(("counted", "started_s", since_s, first * HOUR_S))
    if end * HOUR_S < until_s:
        spans.append(("counted", "started_s", end * HOUR_S, until_s))
    return spans


def _where(selection: Selection, *conditions: str) -> tuple[str, list[Any]]:
    """`conditions` first, then what the selection says of whose and by which version."""
    asked = (
        ("tenant = ?", selection.tenant),
        ("deployment = ?", selection.deployment),
        ("route_version >= ?", selection.from_version or None),
        ("route_version < ?", selection.until_version),
    )
    given = [(condition, value) for condition, value in asked if value is not None]
    return " AND ".join((*conditions, *(condition for condition, _ in given))), [value for _, value in given]


JUDGED = """CASE outcome WHEN 'client_closed' THEN replica <> '' AND ttft_s IS NULL AND duration_s IS NOT NULL
             WHEN 'unknown' THEN 0 ELSE NOT (replica = '' AND status BETWEEN 400 AND 499) END"""
"""Somebody saw the end, and it was neither turned away at the edge nor closed by a client who had had a part of it."""
REFUSED_FOR_WANT = "replica = '' AND status = 503"
"""Of a replica or of room: answered by the load balancer itself, whatever the deployment's answers are like."""
SEEN = """ended_s,
          CASE WHEN outcome = 'client_closed' THEN 'given_up'
               WHEN outcome = 'complete' AND status BETWEEN 400 AND 499 THEN 'refused' ELSE outcome END,
          CASE WHEN outcome = 'client_closed' THEN duration_s WHEN outcome = 'complete' AND status < 400 THEN ttft_s END
       """
BAD = frozenset({"failed", "truncated"})
Seen = tuple[float, str, float | None]
"""When it ended, what became of it, and for how long its first byte was waited for."""


def select_window(db: sqlite3.Connection, deployment: str, ended_after_s: float, began_after_s: float) -> Figures:
    seen: list[Seen] = db.execute(
        f"""SELECT {SEEN} FROM request
            WHERE deployment = ? AND ended_s > ? AND started_s > ? AND {JUDGED} AND NOT ({REFUSED_FOR_WANT})
            ORDER BY ended_s DESC LIMIT ?""",
        (deployment, ended_after_s, began_after_s, NEWEST_ROWS),
    ).fetchall()
    kinds = Counter(kind for _, kind, _ in seen)
    requests = kinds.total() - kinds["given_up"]
    return _figures(seen, requests=requests, failed=kinds["failed"], truncated=kinds["truncated"])


def select_figures(db: sqlite3.Connection, selection: Selection, deployments: Collection[str]) -> Figures:
    """Counts are exact, whatever the ledger holds; percentiles are of each deployment's newest."""
    seen: list[Seen] = []
    counts = [0, 0, 0]
    for name in deployments:
        one = Selection(**{**vars(selection), "deployment": name})
        names = ("complete", "turned_away", "failed", "truncated")
        for _, _, complete, away, failed, truncated in _sums(db, one, names):
            more = (complete - away + failed + truncated, failed, truncated)
            counts = [have + add for have, add in zip(counts, more, strict=True)]
        where, given = _where(one, "started_s >= ?", "started_s < ?", JUDGED)
        order = "route_version DESC, ended_s DESC" if selection.from_version else "started_s DESC"
        seen += db.execute(
            f"SELECT {SEEN} FROM request WHERE {where} ORDER BY {order} LIMIT ?",
            (selection.since_s, selection.until_s, *given, NEWEST_ROWS),
        ).fetchall()
    requests, failed, truncated = counts
    return _figures(seen, requests=requests, failed=failed, truncated=truncated)


def _figures(seen: Sequence[Seen], **counts: int) -> Figures:
    # by good and bad, too: which of those that end in one millisecond is the newest must not depend on their rows
    newest_first = sorted(((ended_s, kind in BAD) for ended_s, kind, _ in seen if kind != "given_up"), reverse=True)
    in_a_row = next((n for n, (_, is_bad) in enumerate(newest_first) if not is_bad), len(newest_first))
    waits_s = sorted(wait_s for _, _, wait_s in seen if wait_s is not None)
    kinds = Counter(kind for _, kind, _ in seen)
    return Figures(
        **counts,
        failures_in_a_row=in_a_row,
        ttft_p50_s=nearest_rank(waits_s, 0.50),
        ttft_p95_s=nearest_rank(waits_s, 0.95),
        newest=len(seen),
        refused=kinds["refused"],
        given_up=kinds["given_up"],
    )


def select_page(db: sqlite3.Connection, selection: Selection, after: tuple[float, str]) -> list[Row]:
    """The next `PAGE_ROWS` by (started_s, id); [] at the end."""
    where, given = _where(selection, "(started_s, id) > (?, ?)", "started_s < ?")
    columns = ", ".join(field.name for field in fields(Row))
    found = db.execute(
        f"SELECT {columns} FROM request WHERE {where} ORDER BY started_s, id LIMIT ?",
        (*after, selection.until_s, *given, PAGE_ROWS),
    )
    return [Row(*row) for row in found]


def select_arrivals(db: sqlite3.Connection, deployment: str | None, after: tuple[float, str]) -> list[tuple[Any, ...]]:
    where, given = _where(Selection(deployment=deployment), "(started_s, id) > (?, ?)")
    return db.execute(
        f"SELECT started_s, tenant, duration_s, outcome, id FROM request WHERE {where} ORDER BY started_s, id LIMIT ?",
        (*after, *given, PAGE_ROWS),
    ).fetchall()


def select_tenants(db: sqlite3.Connection) -> list[str]:
    """Skips from one to the next, so that it costs by their number."""
    found, next_one = [""], "SELECT min(tenant) FROM tally WHERE tenant > ?"
    while (name := db.execute(next_one, (found[-1],)).fetchone()[0]) is not None:
        found.append(name)
    return found[1:]
