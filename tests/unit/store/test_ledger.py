import math
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings

from finsight_serve.domain.figures import Figures
from finsight_serve.plugin import Request
from finsight_serve.store import Ledger, StoreError, ledger_queries
from finsight_serve.store.archive import read_archive, write_archive
from finsight_serve.store.ledger import Row, Selection, Totals, Usage, _add
from finsight_serve.store.ledger_schema import FIRST
from finsight_serve.store.store import Store

from . import ledgers
from .ledgers import HOUR_S, NOON_S, request, turned_away

pytestmark = pytest.mark.anyio


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def filled(folder: Path, rows: list[Request]) -> Ledger:
    ledger = Ledger(folder)
    ledger._db.call_now(_add, rows)
    return ledger


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    """A ledger of the first schema, with rows."""
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.executescript(FIRST + "; PRAGMA user_version = 1; PRAGMA journal_mode = WAL")
        db.executemany(
            "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                ("a", "acme", "chat", "127.0.0.1:1", 200, "complete", NOON_S, 2.0, 0.1),
                ("b", "acme", "chat", "127.0.0.1:1", 502, "failed", NOON_S + 1, 3.0, None),
                ("c", "acme", "chat", "", 0, "unknown", NOON_S + 2, None, None),
            ],
        )
        db.execute("INSERT INTO cursor VALUES (1, 'x:7')")
    db.close()
    return tmp_path


async def test_an_older_file_keeps_its_rows_and_its_cursor(old_folder: Path) -> None:
    ledger = Ledger(old_folder)
    await ledger.add([request("a"), request("d")])
    assert ledger.totals() == (Totals("acme", "chat", 4, 2, 0, 0, 1, 1),)
    assert [(row.id, row.route_version, row.ended_s - NOON_S, row.tokens_from) for row in ledger.rows()] == [
        ("a", 0, 2.0, ""),
        ("d", 1, 2.0, ""),
        ("b", 0, 4.0, ""),
        ("c", 0, 2.0, ""),
    ]
    assert ledger.window("chat", NOON_S).requests == 3
    ledger.close()


def test_an_older_file_keeps_its_cursor(old_folder: Path) -> None:
    ledger = Ledger(old_folder)
    assert ledger.cursor() == "x:7"
    ledger.close()


def test_an_older_file_that_may_not_be_changed_says_what_to_do(old_folder: Path) -> None:
    with pytest.raises(StoreError, match=r"ledger\.db: written by an older version; the next `fs serve` upgrades it"):
        Ledger(old_folder, read_only=True)


def test_an_older_file_can_be_backed_up_and_is_upgraded_where_it_is_put_back(old_folder: Path) -> None:
    Store(old_folder).close()
    write_archive(old_folder, old_folder / "backup.tar.gz")
    read_archive(old_folder / "backup.tar.gz", old_folder / "elsewhere")
    ledger = Ledger(old_folder / "elsewhere", read_only=True)
    assert ledger.totals()[0].requests == 3
    ledger.close()


async def test_a_reader_beside_the_writer_sees_its_rows_and_changes_nothing(tmp_path: Path, ledger: Ledger) -> None:
    reader = Ledger(tmp_path, read_only=True)
    await ledger.add([request()])
    assert [row.id for row in reader.rows()] == ["a"]
    with pytest.raises(StoreError, match="can't be written"):
        await reader.add([request("b")])
    reader.close()


async def test_what_was_added_comes_back_whole(ledger: Ledger) -> None:
    await ledger.add([request("a", sent_bytes=9, prompt_tokens=4, completion_tokens=5, tokens_from="usage")])
    assert list(ledger.rows()) == [
        Row(
            *("a", "acme", "chat", "127.0.0.1:1", 1, 200, "complete", NOON_S, NOON_S + 2, 2.0, 0.1),
            *(9, 4, 5, "usage"),
        )
    ]


# --- sums ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(ledgers.requests(), ledgers.selections())
def test_sums_are_those_of_the_rows(rows: list[Request], selection: Selection) -> None:
    with TemporaryDirectory() as folder:
        ledger = filled(Path(folder), rows)
        ledger._db.call_now(_add, rows[::2])  # again
        found, listed = ledger.totals_of(selection), list(ledger.rows(selection))
        used = ledger.usage(selection.since_s, selection.until_s)
        ledger.close()
    chosen = ledgers.selected(rows, selection)
    assert found == ledgers.totals_of(chosen)
    assert used == ledgers.usage_of(
        ledgers.selected(rows, Selection(since_s=selection.since_s, until_s=selection.until_s))
    )
    assert {row.id for row in listed} == {row.id for row in chosen}
    assert [row.started_s for row in listed] == sorted(row.started_s for row in chosen)


async def test_usage_tells_what_was_counted_by_chunks_and_what_not_at_all(ledger: Ledger) -> None:
    await ledger.add(
        [
            request("a", prompt_tokens=3, completion_tokens=5, tokens_from="usage"),
            request("b", completion_tokens=7, tokens_from="chunks"),
            request("c"),
            request("d", status=0, replica="", outcome="unknown"),
            turned_away("e"),
            request("f", status=500, outcome="failed"),
        ]
    )
    assert ledger.usage(NOON_S, NOON_S + 1) == (Usage("acme", "chat", 6, 3, 12, by_chunks=1, uncounted=2),)
    assert ledger.usage(NOON_S + 1, NOON_S + HOUR_S) == ()
    assert ledger.usage(NOON_S, NOON_S + HOUR_S, tenant="zeta") == ()


async def test_tenants_are_all_that_ever_asked_and_nobody_is_none_of_them(ledger: Ledger) -> None:
    await ledger.add([request("a", tenant="zeta"), request("b", tenant=""), request("c"), request("d", tenant="zeta")])
    assert ledger.tenants() == ("acme", "zeta")


# --- figures ---------------------------------------------------------------------------------------------------------


async def test_a_window_leaves_out_whom_the_deployment_did_not_fail(ledger: Ledger) -> None:
    await ledger.add(
        [
            request("whole", completion_tokens=5, duration_s=3.0),
            request("failed", outcome="failed", status=502, ttft_s=9.0),
            request("cut", outcome="truncated", completion_tokens=2, ttft_s=9.0),
            request("wrong", status=404, ttft_s=9.0),  # an answer, but none whose time says anything
            turned_away(),
            request("gone", outcome="client_closed", status=499),
            request("lost", outcome="unknown", status=0, replica=""),
            request("elsewhere", deployment="other", outcome="failed"),
            request("nowhere", deployment="", outcome="failed", status=503, replica=""),
        ]
    )
    expected = Figures(4, 1, 1, 0, 0.1, 0.1, newest=4, refused=1)
    assert ledger.window("chat", NOON_S) == ledger.figures("acme", ["chat"]) == expected


async def test_who_found_no_room_says_nothing_of_the_answers_but_was_not_answered(ledger: Ledger) -> None:
    """So a breaker stays closed however many there are, and a migration that fills its destination is told of them."""
    shed = [request(f"s{n}", outcome="failed", status=503, replica="", ttft_s=None) for n in range(30)]
    down = request("down", outcome="failed", status=502, replica="", ttft_s=None)  # all were tried lately, in vain
    await ledger.add([request("whole"), down, *shed])
    window, figures = ledger.window("chat", NOON_S), ledger.figures("acme", ["chat"])
    assert (window.requests, window.failed) == (2, 1)
    assert (figures.requests, figures.failed) == (32, 31)


async def test_who_gave_up_before_the_first_byte_waited_so_long_at_least(ledger: Ledger) -> None:
    gone: dict[str, Any] = {"outcome": "client_closed", "status": 499}
    await ledger.add(
        [
            request("failed", outcome="failed", status=502, ttft_s=None, duration_s=1.0),
            request("whole"),
            request("given up", **gone, ttft_s=None, duration_s=30.0),
            request("had a part", **gone, ttft_s=0.2),
            request("never passed on", **gone, ttft_s=None, replica=""),
            request("nobody knows how long", **gone, ttft_s=None, duration_s=None),
        ]
    )
    expected = Figures(2, 1, 0, 0, 0.1, 30.0, newest=3, given_up=1)
    assert ledger.window("chat", NOON_S) == ledger.figures("acme", ["chat"]) == expected
    assert (expected.timed, expected.error_rate) == (3, 0.5)


async def test_a_window_can_be_of_what_began_in_it_alone(ledger: Ledger) -> None:
    await ledger.add([request("before", started_s=NOON_S - 1), request("since", started_s=NOON_S + 1)])
    assert ledger.window("chat", NOON_S).requests == 2
    assert ledger.window("chat", NOON_S, began_after_s=NOON_S).requests == 1


@pytest.mark.parametrize("order", [1, -1])
async def test_which_of_two_that_end_together_is_the_newest_does_not_depend_on_their_rows(
    ledger: Ledger, order: int
) -> None:
    rows = [request("whole", ttft_s=0.1), request("wrong", status=400), request("failed", outcome="failed", ttft_s=9.0)]
    await ledger.add(rows[::order])
    for figures in (ledger.window("chat", NOON_S), ledger.figures("acme", ["chat"], from_version=1)):
        assert (figures.requests, figures.failures_in_a_row, figures.ttft_p95_s) == (3, 1, 0.1)


@settings(deadline=None, max_examples=60)
@given(ledgers.requests())
def test_whatever_a_ledger_holds_its_figures_are_what_its_rows_say(rows: list[Request]) -> None:
    with TemporaryDirectory() as folder:
        ledger = filled(Path(folder), rows)
        at_chat = [row for row in rows if row.deployment == "chat" and (row.replica or row.status != 503)]
        assert ledger.window("chat", NOON_S - 1) == ledgers.figures_of(at_chat)
        at_both = [row for row in rows if row.tenant == "acme" and row.deployment and row.route_version >= 1]
        figures = ledger.figures("acme", ["chat", "other"], from_version=1)
        # the counts are the tally's, whose sums have their own tests
        counts = {"requests": figures.requests, "failed": figures.failed, "truncated": figures.truncated}
        assert figures == replace(ledgers.figures_of(at_both), **counts)
        ledger.close()


async def test_a_window_is_of_what_ended_in_it(ledger: Ledger) -> None:
    await ledger.add([request("long", started_s=NOON_S - 100, duration_s=150.0), request("early")])
    assert ledger.window("chat", NOON_S + 2).requests == 1
    assert ledger.window("chat", NOON_S + 50) == Figures()


async def test_failures_in_a_row_are_the_newest_to_end(ledger: Ledger) -> None:
    rows = [
        request("1", duration_s=1.0, outcome="failed", status=500),
        request("2", duration_s=2.0),
        request("3", duration_s=3.0, outcome="failed", status=500),
        request("4", duration_s=4.0, outcome="truncated"),
        request("5", duration_s=5.0, outcome="client_closed", status=499),
    ]
    await ledger.add(rows)
    assert ledger.window("chat", NOON_S).failures_in_a_row == 2
    assert ledger.figures("acme", ["chat"], from_version=1).failures_in_a_row == 2
    await ledger.add([request("6", duration_s=6.0)])
    assert ledger.window("chat", NOON_S).failures_in_a_row == 0


async def test_percentiles_are_nearest_ranks(ledger: Ledger) -> None:
    await ledger.add([request(str(n), ttft_s=n / 100) for n in range(1, 101)])
    figures = ledger.window("chat", NOON_S)
    assert (figures.ttft_p50_s, figures.ttft_p95_s) == (0.5, 0.95)
    await ledger.add([request("one", deployment="other", ttft_s=3.0)])
    assert ledger.figures("acme", ["other"]).ttft_p50_s == 3.0
    both = ledger.figures("acme", ["other", "chat"])
    assert (both.requests, both.ttft_p50_s, both.ttft_p95_s) == (101, 0.51, 0.96)


async def test_a_step_has_exactly_the_rows_that_its_route_tables_routed(ledger: Ledger) -> None:
    await ledger.add([request(str(n), route_version=n) for n in range(1, 11)])
    await ledger.add([request("other", route_version=5, tenant="zeta")])
    (step,) = ledger.totals_of(Selection("acme", from_version=4, until_version=8))
    assert step.requests == 4
    assert ledger.figures("acme", ["chat"], from_version=4).requests == 7
    assert ledger.figures("acme", ["other"], from_version=4) == Figures()


async def test_counts_stay_exact_where_percentiles_are_of_the_newest(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_queries, "NEWEST_ROWS", 10)
    await ledger.add([request(f"old{n}", outcome="failed", status=500) for n in range(20)])
    await ledger.add([request(f"new{n}", duration_s=3.0, route_version=2, ttft_s=1.0) for n in range(20)])
    assert ledger.figures("acme", ["chat"], from_version=1) == Figures(40, 20, 0, 0, 1.0, 1.0, newest=10)
    assert ledger.window("chat", NOON_S) == Figures(10, 0, 0, 0, 1.0, 1.0, newest=10)


# --- what it costs ---------------------------------------------------------------------------------------------------

QUERIES = {
    "totals": lambda ledger: ledger.totals(since_s=NOON_S + 5),
    "totals of a step": lambda ledger: ledger.totals_of(Selection("acme", from_version=1, until_version=3)),
    "usage": lambda ledger: ledger.usage(NOON_S + 1, NOON_S + 9 * HOUR_S + 1),
    "window": lambda ledger: ledger.window("chat", NOON_S),
    "baseline": lambda ledger: ledger.figures("acme", ["chat"], since_s=NOON_S + 5),
    "step": lambda ledger: ledger.figures("acme", ["chat", "other"], from_version=2),
    "rows": lambda ledger: list(ledger.rows(Selection(deployment="chat"))),
    "rows of a tenant": lambda ledger: list(ledger.rows(Selection(tenant="acme", until_s=math.inf))),
    "arrivals": lambda ledger: list(ledger.arrivals(since_s=NOON_S)),
    "tenants": lambda ledger: ledger.tenants(),
}


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_reads_the_whole_ledger(ledger: Ledger, name: str) -> None:
    statements: list[str] = []
    ledger._db.call_now(_add, [request(str(n)) for n in range(3)])
    ledger._db.call_now(lambda db: db.set_trace_callback(statements.append))
    QUERIES[name](ledger)
    ledger._db.call_now(lambda db: db.set_trace_callback(None))
    asked = [one.replace("Inf", "9e999") for one in statements if one.lstrip().startswith("SELECT")]
    assert asked
    for statement in asked:
        plan = ledger._db.call_now(sqlite3.Connection.execute, f"EXPLAIN QUERY PLAN {statement}").fetchall()
        steps = [step[3] for step in plan]
        assert not [step for step in steps if step in ("SCAN request", "SCAN tally")], (statement, steps)


def test_a_row_is_exported_with_all_that_is_stored(ledger: Ledger) -> None:
    columns = ledger._db.call_now(lambda db: db.execute("SELECT name FROM pragma_table_info('request')").fetchall())
    assert {name for (name,) in columns} == {field.name for field in fields(Row)}


async def test_the_newest_route_table_is_known_from_before_and_kept_up(ledger: Ledger) -> None:
    assert ledger.newest_version() == 0
    await ledger.add([])
    await ledger.add([replace(request("a"), route_version=7), replace(request("b"), route_version=3)])
    assert ledger.newest_version() == 7
    ledger._db.call_now(_add, [replace(request("c"), route_version=9)])
    assert ledger.newest_version() == 7, "the table is read once"
