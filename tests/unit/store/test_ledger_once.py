"""Each request exactly once, whatever is killed between the load balancer's log and the ledger."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.plugin import Request
from finsight_serve.store import Ledger, StoreError
from finsight_serve.store.ledger import _add

from . import ledgers
from .ledgers import request

BATCH = 4
CRASHES = st.sampled_from(["none", "before", "in the middle", "after"])


def log_of(rows: list[Request], again: list[int]) -> list[Request]:
    """As a load balancer writes it: a row may come twice, as when a count is healed twice, and has two cursors then."""
    repeated = [row for n, row in enumerate(rows) for row in (row, rows[again[n % len(again)] % (n + 1)])]
    return [Request(**{**vars(row), "cursor": str(n + 1)}) for n, row in enumerate(repeated)]


def add(ledger: Ledger, batch: list[Request]) -> None:
    ledger._db.call_now(_add, batch)  # what `Ledger.add` does, without a loop of its own for each


def add_in_part(ledger: Ledger, batch: list[Request]) -> None:
    """As a machine that dies while SQLite works: the transaction is begun, and never ends."""
    steps = iter(range(30))  # of the hundreds that a row takes
    ledger._db.call_now(lambda db: db.set_progress_handler(lambda: next(steps, None) is None, 1))
    try:
        add(ledger, batch)
    except StoreError as error:
        assert "interrupted" in str(error)
    else:
        raise AssertionError("the batch was too small to be interrupted")


@settings(max_examples=30, deadline=None)
@given(ledgers.requests(20), st.lists(st.integers(0, 20), min_size=1), st.data())
def test_the_ledger_is_the_set_of_the_log(rows: list[Request], again: list[int], data: st.DataObject) -> None:
    log = log_of(rows, again)
    with TemporaryDirectory() as folder:
        ledger, position = Ledger(Path(folder)), 0
        while position < len(log):
            crash = data.draw(CRASHES)
            batch = log[position : position + data.draw(st.integers(1, BATCH))]
            if crash == "in the middle":
                add_in_part(ledger, batch)
            elif crash != "before":
                add(ledger, batch)
                position += len(batch)
            if crash != "none":
                ledger.close()
                ledger = Ledger(Path(folder))
                assert ledger.cursor() == (str(position) if position else "")
                position = int(ledger.cursor() or 0)
        found = list(ledger.rows())
        totals = ledger.totals()
        ledger.close()
    assert sorted(row.id for row in found) == sorted(row.id for row in rows)
    assert totals == ledgers.totals_of(rows)


WRITER = """
import itertools, sys
from pathlib import Path
import anyio
from finsight_serve.plugin import Request
from finsight_serve.store import Ledger

ledger = Ledger(Path(sys.argv[1]))
at = int(ledger.cursor() or 0)
for first in itertools.count(at, 50):
    numbers = range(max(0, first - 5), first + 50)  # each batch begins with the end of the last
    rows = [
        Request(str(n + 1), f"r{n}", "acme", "chat", "", 200, "complete", 1.8e9 + n, 1.0, None, 1) for n in numbers
    ]
    anyio.run(ledger.add, rows)
    print(rows[-1].cursor, flush=True)
"""


@pytest.mark.parametrize("kills", [5])
def test_a_writer_that_is_killed_again_and_again_misses_nothing(tmp_path: Path, kills: int) -> None:
    told = 0
    for kill in range(kills):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as one:
            assert one.stdout is not None
            for _ in range(3 + kill):
                told = int(one.stdout.readline())
            one.kill()
        ledger = Ledger(tmp_path)
        cursor, ids = int(ledger.cursor()), {row.id for row in ledger.rows()}
        (total,) = ledger.totals()
        ledger.close()
        assert cursor >= told, "what was said to be stored is stored"
        assert ids == {f"r{n}" for n in range(cursor)}
        assert total.requests == cursor


def test_an_empty_batch_moves_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    add(ledger, [request(cursor="9")])
    add(ledger, [])
    assert ledger.cursor() == "9"
    ledger.close()
