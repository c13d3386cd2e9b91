"""Goodput, shares and goals, from requests whose fate is made up."""

import pytest
from benchmarks.open_loop import Became, Sent
from benchmarks.overload_figures import Cell, max_min, overload_rows, worst_share

Fate = tuple[str, Became, float | None]


def cell(times: float, sheds: bool, *sent: Fate) -> Cell:
    requests = [Sent(tenant, float(n), became, ttft_s) for n, (tenant, became, ttft_s) in enumerate(sent)]
    return Cell(times, sheds, requests, 10.0, 3, 0.04, 0.0, 0.2)


@pytest.mark.parametrize(
    ("asked", "whole", "fair"),
    [
        ({"a": 1, "b": 2}, 10, {"a": 1, "b": 2}),
        ({"a": 1, "b": 20, "c": 30}, 11, {"a": 1, "b": 5, "c": 5}),
        ({"a": 4, "b": 30, "c": 9}, 15, {"a": 4, "b": 5.5, "c": 5.5}),
        ({}, 10, {}),
    ],
)
def test_nobody_gets_more_than_asked_and_the_rest_is_shared_evenly(
    asked: dict[str, float], whole: float, fair: dict[str, float]
) -> None:
    assert max_min(asked, whole) == fair


def test_the_worst_off_is_who_has_the_least_of_what_is_fairly_its_own() -> None:
    assert worst_share({"a": 1, "b": 20, "c": 30}, {"a": 1, "b": 2.5, "c": 7.5}, 11) == 0.5
    assert worst_share({"a": 1, "b": 20}, {"b": 20}, 21) == 0.0
    assert worst_share({}, {}, 10) == 1.0


def test_only_what_is_whole_and_began_in_time_is_good() -> None:
    many: list[Fate] = [("flood", "whole", 0.5)] * 20
    refused: list[Fate] = [("flood", "refused", None)] * 20
    calm = cell(1, False, ("quiet", "whole", 0.1), *many)
    busy = cell(
        2, True, ("quiet", "whole", 0.1), ("quiet", "given_up", 0.1), *many[:17], ("flood", "whole", 2.5), *refused
    )
    first, second = overload_rows([calm, busy], 2.0, quiet="quiet")
    assert (first.goodput_per_s, first.of_peak, first.goal) == (2.1, 1.0, "")
    assert (second.offered_per_s, second.goodput_per_s, second.of_peak) == (4.0, 1.8, 0.86)
    assert (second.refused_per_s, second.given_up_per_s, second.ttft_p99_s) == (2.0, 0.1, 2.5)
    assert (second.quiet_answered, second.worst_tenant) == (0.5, 0.5)
    assert second.goal == "≥ 90% of peak: missed; every tenant ≥ 50% of its fair share: met"


def test_where_nothing_was_good_there_is_no_peak() -> None:
    [row] = overload_rows([cell(10, False, ("flood", "given_up", None))], 2.0, quiet="quiet")
    assert (row.goodput_per_s, row.of_peak, row.ttft_p99_s, row.quiet_answered) == (0.0, 0.0, None, 1.0)
