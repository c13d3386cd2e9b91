"""What the tenants benchmark reports follows from what it measured."""

from collections.abc import Sequence

import pytest
from benchmarks.generator import Rate
from benchmarks.tenants_figures import Cell, Meanwhile, RouterRow, neighbour_rows, router_rows, size_rows

NONE, OURS, FAST, SLOW = "none", "ours", "rust", "python"


def cells(*p50s_ms: float, rate: float, failed: int = 0) -> list[Cell]:
    return [Cell(Rate(rate, failed, None, p50_ms, 2 * p50_ms), 50.0, 5.0) for p50_ms in p50s_ms]


def compared(
    ours: tuple[float, float], fast: tuple[float, float] = (0.14, 20_000), absent: Sequence[str] = ()
) -> dict[tuple[int, str], RouterRow]:
    """(connections, router) → row; the pairs are p50 in ms at 1 connection and requests/s at 32."""
    measured = {(NONE, 1): cells(0.05, rate=9), (NONE, 32): cells(0.2, rate=90_000)}
    for name, (p50_ms, rate) in {OURS: ours, FAST: fast, SLOW: (10.0, 100.0)}.items():
        measured |= {(name, 1): cells(p50_ms, rate=9), (name, 32): cells(1, rate=rate)}
    rows = router_rows(measured, dict.fromkeys(absent, "why"), none=NONE, ours=OURS, fast=[FAST], slow=SLOW)
    return {(row.connections, row.router): row for row in rows}


def test_a_router_s_row_holds_medians_and_ratios() -> None:
    measured = {(name, 1): cells(0.1, 0.2, 0.9, rate=10, failed=1) for name in (NONE, OURS)}
    _, ours = router_rows(measured, {}, none=NONE, ours=OURS, fast=[], slow=SLOW)
    assert (ours.p50_ms, ours.p99_ms, ours.over_none_ms, ours.failed) == (0.2, 0.4, 0.0, 3)
    assert (ours.requests_per_s, ours.ours_ratio, ours.cpu_us_per_request, ours.beside_us_per_request) == (10, 1, 50, 5)


@pytest.mark.parametrize(("ours", "verdict"), [((0.13, 20_000), "met"), ((0.16, 10_000), "missed")])
def test_ours_is_held_against_each_other(ours: tuple[float, float], verdict: str) -> None:
    rows = compared(ours)
    assert rows[1, NONE].goal == f"ours ≤ 0.1 ms more: {verdict}"
    assert rows[1, FAST].goal == f"ours below its p50: {verdict}"
    assert rows[32, FAST].goal == f"ours no fewer requests/s: {verdict}"
    assert rows[32, SLOW].goal == f"ours ≥ 150 × its requests/s: {verdict}"
    assert rows[1, OURS].goal == rows[32, OURS].goal == rows[1, SLOW].goal == rows[32, NONE].goal == ""


def test_a_peer_that_does_not_run_is_a_row_that_says_why() -> None:
    rows = compared((0.1, 1), absent=["gone"])
    assert [rows[connections, "gone"].goal for connections in (1, 32)] == ["why", "why"]
    assert rows[32, "gone"].requests_per_s is None


def test_a_generator_that_knows_no_latency_leaves_it_out() -> None:
    measured = {(name, 1): [Cell(Rate(10, 0, None), 50.0)] for name in (NONE, OURS)}
    none, ours = router_rows(measured, {}, none=NONE, ours=OURS, fast=[], slow=SLOW)
    assert (none.goal, ours.p50_ms, ours.over_none_ms) == ("", None, None)


def test_sizes_are_compared_with_the_smallest() -> None:
    measured = {("5", 1): cells(0.1, rate=9), ("5", 32): cells(1, rate=1000)}
    measured |= {("9", 1): cells(0.105, rate=9), ("9", 32): cells(1, rate=950)}
    measured |= {("99", 1): cells(0.2, rate=9), ("99", 32): cells(1, rate=950)}
    few, more, most = size_rows(measured, {5: (0.01, 0.2), 9: (0.1, 0.2), 99: (1.5, 0.6)})
    flat = "p50 ≤ 1.1 × and requests/s ≥ 0.9 × the first row's"
    assert (few.p50_ratio, few.rate_ratio, few.goal) == (1, 1, "")
    assert (more.p50_ratio, more.rate_ratio, more.goal) == (1.05, 0.95, f"{flat}: met")
    assert most.goal == f"{flat}: missed; rendered and reloaded in < 2 s: missed"


def test_neighbours_are_compared_with_being_alone() -> None:
    situations = {
        "alone": Meanwhile([0.02] * 99 + [0.03], 0),
        "limited": Meanwhile([0.025] * 100, 1, 60.0, 9000.0),
        "unlimited": Meanwhile([0.4] * 100, 0, 140.0),
    }
    alone, limited, unlimited = neighbour_rows(situations, limited="limited")
    assert (alone.ttft_p50_ms, alone.p99_ratio, alone.goal) == (20.0, 1.0, "")
    assert (limited.streams, limited.failed, limited.a_refused_per_s) == (100, 1, 9000.0)
    assert limited.goal == "p99 ≤ 1.5 × alone: met"
    assert (unlimited.p99_ratio > 15, unlimited.goal) == (True, "")
