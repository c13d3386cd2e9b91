from contextlib import closing
from pathlib import Path

import pytest

from finsight_serve.store import Ledger
from finsight_serve.store.ledger import Hour

from .ledgers import HOUR_S, NOON_S, request


@pytest.mark.anyio
async def test_hours_are_sums_of_the_tally_and_the_one_that_holds_the_moment_is_the_first(tmp_path: Path) -> None:
    rows = [
        request("a"),
        request("b", tenant="zeta", route_version=2, outcome="failed"),
        request("c", started_s=NOON_S + HOUR_S, outcome="truncated"),
        request("d", started_s=NOON_S + HOUR_S, deployment="", outcome="failed"),
        request("e", started_s=NOON_S - 1),
    ]
    statements: list[str] = []
    with closing(Ledger(tmp_path)) as ledger:
        await ledger.add(rows)
        ledger._db.call_now(lambda db: db.set_trace_callback(statements.append))
        assert ledger.hours(NOON_S + 5) == (
            Hour(NOON_S, "chat", 2, 1, 0),
            Hour(NOON_S + HOUR_S, "", 1, 1, 0),
            Hour(NOON_S + HOUR_S, "chat", 1, 0, 1),
        )
    assert not any("FROM request" in one or "FROM counted" in one for one in statements), "whatever the ledger holds"
