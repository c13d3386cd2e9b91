from dataclasses import replace

import pytest

from finsight_serve.domain import AutoscalingPolicy, CronHours, TradingHours, WeeklyHours, Window, market_hours
from finsight_serve.schedule import cut_overs, next_cut_over, policy_at, situation_at

from .times import NEW_YORK, new_york

DEFAULT = AutoscalingPolicy(min_replicas=1, max_replicas=4, smoothing_factor=0.5)
MARKET = AutoscalingPolicy(min_replicas=2, max_replicas=4)
MARKET_WINDOW = market_hours("XNYS", start="09:00", end="16:00", timezone=NEW_YORK, policy=MARKET)


def daily(start: str, end: str, **holds: object) -> Window:
    hours = WeeklyHours(start=start, end=end, timezone=NEW_YORK)
    return Window(name=f"{start}", weekly=hours, **holds)  # type: ignore[arg-type]


def scheduled(*windows: Window, base: AutoscalingPolicy = DEFAULT) -> AutoscalingPolicy:
    return replace(base, schedule=windows)


def bounds(policy: AutoscalingPolicy, at: str, cold_start_s: float | None = None) -> tuple[int, int]:
    held = policy_at(policy, new_york(at), cold_start_s)
    return held.min_replicas, held.max_replicas


# what holds, by hand: the record's two policies over the days around Thanksgiving 2026 and both changes of clocks
TABLE = [
    ("2026-11-24 08:59:59", DEFAULT),
    ("2026-11-24 09:00:00", MARKET),
    ("2026-11-24 15:59:59", MARKET),
    ("2026-11-24 16:00:00", DEFAULT),
    ("2026-11-26 12:00:00", DEFAULT),
    ("2026-11-27 12:59:59", MARKET),
    ("2026-11-27 13:00:00", DEFAULT),
    ("2026-11-28 12:00:00", DEFAULT),
    ("2026-03-09 09:00:00", MARKET),
    ("2026-03-09 08:59:59", DEFAULT),
    ("2026-11-02 09:00:00", MARKET),
    ("2026-11-02 08:59:59", DEFAULT),
    ("2027-12-31 12:00:00", MARKET),
    ("2023-01-02 12:00:00", DEFAULT),
]


@pytest.mark.parametrize(("at", "expected"), TABLE)
def test_the_records_policies(at: str, expected: AutoscalingPolicy) -> None:
    assert policy_at(scheduled(MARKET_WINDOW), new_york(at)) == expected


def test_without_a_schedule_the_numbers_hold_always() -> None:
    assert policy_at(DEFAULT, 0.0) == DEFAULT
    assert next_cut_over(DEFAULT, 0.0) is None and cut_overs(DEFAULT, 0.0, 1e9) == ()


def test_the_named_policy_with_the_highest_floor_holds_and_the_first_wins_ties() -> None:
    low, high, tied = (replace(MARKET, min_replicas=n, upscale_delay_s=s) for n, s in ((2, 5), (3, 6), (3, 7)))
    windows = [daily("09:00", "16:00", policy=one) for one in (low, high, tied)]
    assert policy_at(scheduled(*windows), new_york("2026-11-24 12:00")) == high


def test_the_floor_is_the_highest_of_all_that_are_open() -> None:
    policy = scheduled(daily("08:00", "12:00", min_replicas=3), daily("10:00", "16:00", min_replicas=2))
    at = ("07:59", "08:00", "11:59", "12:00", "16:00")
    assert [bounds(policy, f"2026-11-24 {clock}")[0] for clock in at] == [1, 3, 3, 2, 1]


def test_the_ceiling_is_the_highest_of_those_that_lower_it_and_never_below_the_floor() -> None:
    policy = scheduled(
        daily("08:00", "12:00", max_replicas=2),
        daily("10:00", "16:00", max_replicas=3),
        daily("11:00", "18:00", min_replicas=4),
    )
    at = ("07:00", "08:00", "10:00", "11:00", "17:00")
    assert [bounds(policy, f"2026-11-24 {clock}") for clock in at] == [(1, 4), (1, 2), (1, 3), (4, 4), (4, 4)]


def test_a_floor_above_the_named_policys_ceiling_raises_that_too() -> None:
    small = AutoscalingPolicy(min_replicas=2, max_replicas=2)
    policy = scheduled(daily("09:00", "16:00", policy=small), daily("10:00", "11:00", min_replicas=4))
    assert [bounds(policy, f"2026-11-24 {at}") for at in ("09:30", "10:30")] == [(2, 2), (4, 4)]


def test_counts_beside_the_bounds_are_kept_within_them() -> None:
    base = replace(DEFAULT, initial_replicas=1, on_signal_loss=4)
    held = policy_at(
        scheduled(daily("08:00", "09:00", min_replicas=2, max_replicas=3), base=base), new_york("2026-11-24 08:30")
    )
    assert (held.initial_replicas, held.on_signal_loss) == (2, 3)


def test_only_the_floor_leads() -> None:
    policy = scheduled(replace(MARKET_WINDOW, lead_s=90.0))
    before = policy_at(policy, new_york("2026-11-24 08:58:29"))
    leading = policy_at(policy, new_york("2026-11-24 08:58:30"))
    assert before == DEFAULT and leading == replace(DEFAULT, min_replicas=2)
    assert policy_at(policy, new_york("2026-11-24 09:00:00")) == MARKET
    lowering = scheduled(daily("09:00", "16:00", max_replicas=2, lead_s=90.0))
    assert bounds(lowering, "2026-11-24 08:59:00") == (1, 4)


def test_the_measured_lead_is_the_cold_start_and_none_while_there_is_none() -> None:
    policy = scheduled(replace(MARKET_WINDOW, lead_s="measured"))
    at = "2026-11-24 08:59:00"
    assert [bounds(policy, at, cold_start_s)[0] for cold_start_s in (None, 59.0, 60.0)] == [1, 1, 2]


def test_a_window_that_is_open_does_not_lead_as_well() -> None:
    policy = scheduled(daily("00:00", "23:45", min_replicas=3, lead_s=3600.0))
    for at, leads in (("23:30", False), ("23:50", True)):
        (one,) = situation_at(policy, new_york(f"2026-11-24 {at}")).windows
        assert one.leads is leads


def test_a_lead_that_begins_on_the_day_before() -> None:
    policy = scheduled(daily("00:10", "01:00", min_replicas=3, lead_s=3600.0))
    assert [bounds(policy, f"2026-11-24 {at}")[0] for at in ("23:09", "23:10", "23:59")] == [1, 3, 3]


def test_why() -> None:
    policy = scheduled(
        replace(MARKET_WINDOW, lead_s=90.0),
        daily("15:00", "17:00", min_replicas=3),
        daily("20:00", "21:00", max_replicas=2),
    )
    whys = {
        at: situation_at(policy, new_york(f"2026-11-{at}")).why
        for at in ("24 12:00", "24 08:59", "24 15:30", "24 20:30", "26 12:00", "28 12:00")
    }
    assert whys == {
        "24 12:00": "market-hours is open: its policy holds",
        "24 08:59": "market-hours raises the floor to 2 ahead of its opening at 09:00",
        "24 15:30": "market-hours is open: its policy holds; 15:00 raises the floor to 3",
        "24 20:30": "20:00 lowers the ceiling",
        "26 12:00": "no window is open; XNYS: no session (Thanksgiving) on Thu 2026-11-26",
        "28 12:00": "no window is open",
    }


def test_the_windows_that_count_say_since_when_and_until() -> None:
    (one,) = situation_at(scheduled(MARKET_WINDOW), new_york("2026-11-27 10:00")).windows
    assert (one.name, one.leads, one.note, one.timezone) == ("market-hours", False, "early close at 13:00", NEW_YORK)
    assert (one.since_s, one.until_s) == (new_york("2026-11-27 09:00"), new_york("2026-11-27 13:00"))


def test_where_a_calendar_ends_its_windows_are_closed_and_the_reason_is_said() -> None:
    shanghai = Window(name="s", calendar=TradingHours(exchange="XSHG"), min_replicas=2)
    assert situation_at(scheduled(shanghai), new_york("2160-03-04 00:00")).why == (
        "no window is open; XSHG: its calendar is known from 1990-12-03 to 2026-12-31 only"
    )


def test_cut_overs_around_the_half_day() -> None:
    found = cut_overs(scheduled(MARKET_WINDOW), new_york("2026-11-25 16:00"), new_york("2026-11-30 09:00"))
    assert [(one.at_s, one.why, one.timezone) for one in found] == [
        (new_york("2026-11-27 09:00"), "market-hours opens", NEW_YORK),
        (new_york("2026-11-27 13:00"), "market-hours closes (early close at 13:00)", NEW_YORK),
        (new_york("2026-11-30 09:00"), "market-hours opens", NEW_YORK),
    ]
    assert [(one.before, one.after) for one in found] == [(DEFAULT, MARKET), (MARKET, DEFAULT), (DEFAULT, MARKET)]


def test_a_window_that_changes_no_number_is_no_cut_over() -> None:
    policy = scheduled(daily("09:00", "10:00", min_replicas=1), daily("12:00", "13:00", min_replicas=2))
    found = next_cut_over(policy, new_york("2026-11-24 08:00"))
    assert found is not None and found.at_s == new_york("2026-11-24 12:00")


def test_the_next_cut_over_may_be_months_away() -> None:
    holidays_over = Window(calendar=TradingHours(exchange="XNYS", start="09:00", end="16:00"), policy=MARKET)
    found = next_cut_over(scheduled(holidays_over), new_york("2026-11-25 16:00"))
    assert found is not None and found.at_s == new_york("2026-11-27 09:00")
    rare = Window(
        name="closing", cron=CronHours(start="0 0 1 12 *", end="0 0 2 12 *", timezone=NEW_YORK), min_replicas=3
    )
    found = next_cut_over(scheduled(rare), new_york("2026-01-01 00:00"))
    assert found is not None and found.at_s == new_york("2026-12-01 00:00")
