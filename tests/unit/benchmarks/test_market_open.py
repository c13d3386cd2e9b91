"""The record's case: the market opens, one replica is there, and whoever comes waits for those that start."""

import pytest
from benchmarks.market_open import BACKENDS, CASES, OpeningRow, measure

COLD, BOUNDED, LATE, READY = CASES


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], OpeningRow]:
    return {(row.policy, row.backend): row for row in measure()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_cold_replica_makes_the_opening_wait(rows: dict[tuple[str, str], OpeningRow], backend: str) -> None:
    cold = rows[COLD, backend]
    assert cold.ready_at_9 == 1
    assert cold.late > 0.05 and cold.longest_wait_s > 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_market_hours_with_a_lead_have_two_ready_and_nobody_waits(
    rows: dict[tuple[str, str], OpeningRow], backend: str
) -> None:
    ready = rows[READY, backend]
    assert ready.ready_at_9 == 2
    assert (ready.late, ready.late_until_s) == (0.0, 0.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_lead_the_first_minute_is_cold(rows: dict[tuple[str, str], OpeningRow], backend: str) -> None:
    late, cold, ready = (rows[policy, backend] for policy in (LATE, COLD, READY))
    assert ready.longest_wait_s < late.longest_wait_s < cold.longest_wait_s


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bound_keeps_the_waits_of_those_let_in_short(rows: dict[tuple[str, str], OpeningRow], backend: str) -> None:
    bounded, cold = rows[BOUNDED, backend], rows[COLD, backend]
    assert bounded.shed > 0 == cold.shed
    assert bounded.longest_wait_s < cold.longest_wait_s
