"""What the ledger's rows ever added up to: exact, once each, and there again after a restart."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.plugin import Request
from finsight_serve.store import Ledger
from finsight_serve.store.ledger import TTFT_BUCKETS_S, Counters, _add
from finsight_serve.store.ledger_schema import FIRST, SECOND

from . import ledgers
from .ledgers import is_turned_away, request

PLACES = (*TTFT_BUCKETS_S, float("inf"))


def add(ledger: Ledger, *rows: Request) -> None:
    ledger._db.call_now(_add, rows)  # what `Ledger.add` does, without a loop of its own


def counters_of(rows: Sequence[Request]) -> list[Counters]:
    """Worked out in plain Python."""
    found = []
    for place in sorted({(row.tenant, row.deployment) for row in rows}):
        own = [row for row in rows if (row.tenant, row.deployment) == place]
        outcomes = [row.outcome for row in own]
        waits_s = [row.ttft_s for row in own if row.ttft_s is not None and 200 <= row.status < 400]
        buckets = [next(n for n, bound in enumerate(PLACES) if wait_s <= bound) for wait_s in waits_s]
        found.append(
            Counters(
                *place,
                *(outcomes.count(name) for name in ("complete", "truncated", "client_closed", "failed", "unknown")),
                sum(map(is_turned_away, own)),
                sum(row.prompt_tokens or 0 for row in own),
                sum(row.completion_tokens or 0 for row in own),
                round(sum(waits_s), 6),
                tuple(buckets.count(n) for n in range(len(PLACES))),
            )
        )
    return found


def counted(ledger: Ledger) -> list[Counters]:
    return [Counters(**{**vars(one), "ttft_sum_s": round(one.ttft_sum_s, 6)}) for one in ledger.counters()]


@settings(max_examples=40, deadline=None)
@given(ledgers.requests(), st.integers(1, 5), st.booleans())
def test_counters_are_what_the_rows_add_up_to(rows: list[Request], size: int, again: bool) -> None:
    with TemporaryDirectory() as folder:
        for start in range(0, len(rows), size):
            with closing(Ledger(Path(folder))) as ledger:  # a restart each time
                add(ledger, *rows[start : start + size])
                if again:
                    add(ledger, *rows[: start + size])
        with closing(Ledger(Path(folder))) as ledger:
            assert counted(ledger) == counters_of(rows)


def test_a_wait_at_a_bound_is_in_the_bucket_that_the_bound_ends(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        add(ledger, request("a", ttft_s=0.02), request("b", ttft_s=0.021), request("c", ttft_s=41.0))
        (found,) = ledger.counters()
    assert (found.ttft_buckets[0], found.ttft_buckets[1], found.ttft_buckets[-1]) == (1, 1, 1)


def test_an_error_and_a_request_without_an_answer_have_no_time_to_first_token(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        add(ledger, request("a", status=503, outcome="failed"), request("b", ttft_s=None))
        (found,) = ledger.counters()
    assert (sum(found.ttft_buckets), found.ttft_sum_s) == (0, 0)


def test_a_ledger_of_an_earlier_version_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{FIRST}; {SECOND}; PRAGMA user_version = 2; PRAGMA journal_mode = WAL")
        _add(db, [request("a"), request("b", outcome="failed", status=500)])
        db.commit()
    with closing(Ledger(tmp_path)) as ledger:
        add(ledger, request("a"), request("c"))
        (found,) = ledger.counters()
    assert (found.complete, found.failed) == (2, 1)


def test_reading_them_looks_at_no_request(tmp_path: Path) -> None:
    """It costs by tenants and deployments, whatever the ledger holds."""
    with closing(Ledger(tmp_path)) as ledger:
        plan = ledger._db.call_now(lambda db: db.execute("EXPLAIN QUERY PLAN SELECT * FROM total").fetchall())
    assert [row[3] for row in plan] == ["SCAN total"]
