"""Openings against tables written by hand from what exchanges publish, never computed by the library.

NYSE: 9:30 to 16:00 New York time, holidays and 13:00 closes as in its holiday notices; a New Year's Day on a Saturday
is not made up for on the Friday before. London: 8:00 to 16:30, 12:30 on the last day before Christmas. Tokyo: 9:00 to
15:30 since November 2024. All in UTC, worked out with UTC-5 (UTC-4 from 8 March to 31 October 2026), UTC+0 (UTC+1 from
29 March to 24 October 2026) and UTC+9.
"""

import pytest

from finsight_serve.domain import TradingHours
from finsight_serve.schedule import closed_days, openings

from .times import NEW_YORK, new_york, shown, utc

OWN_HOURS = [
    # exchange, day, opens and closes (UTC), or closed
    ("XNYS", "2026-11-24", "14:30-21:00"),  # an ordinary Tuesday
    ("XNYS", "2026-11-26", None),  # Thanksgiving
    ("XNYS", "2026-11-27", "14:30-18:00"),  # the half day after it
    ("XNYS", "2026-12-24", "14:30-18:00"),
    ("XNYS", "2026-12-25", None),
    ("XNYS", "2026-07-03", None),  # Independence Day is a Saturday
    ("XNYS", "2026-03-06", "14:30-21:00"),  # the Friday before clocks are put forward
    ("XNYS", "2026-03-08", None),  # the Sunday itself
    ("XNYS", "2026-03-09", "13:30-20:00"),
    ("XNYS", "2026-10-30", "13:30-20:00"),  # the Friday before clocks are put back
    ("XNYS", "2026-11-02", "14:30-21:00"),
    ("XNYS", "2023-01-01", None),  # New Year on a Sunday,
    ("XNYS", "2023-01-02", None),  # made up for on Monday
    ("XNYS", "2027-12-31", "14:30-21:00"),  # New Year 2028 is a Saturday, not made up for on Friday
    ("XNYS", "2028-01-01", None),
    ("XNYS", "2028-01-03", "14:30-21:00"),
    ("XNYS", "2025-01-09", None),  # a day of mourning: announced once, in no rule
    ("XLON", "2026-03-27", "08:00-16:30"),
    ("XLON", "2026-03-30", "07:00-15:30"),
    ("XLON", "2026-10-23", "07:00-15:30"),
    ("XLON", "2026-10-26", "08:00-16:30"),
    ("XLON", "2026-12-24", "08:00-12:30"),
    ("XLON", "2026-12-28", None),  # Boxing Day is a Saturday
    ("XTKS", "2026-11-24", "00:00-06:30"),  # through the lunch break
    ("XTKS", "2026-09-22", None),  # between two holidays
    ("XTKS", "2026-12-30", "00:00-06:30"),
    ("XTKS", "2026-12-31", None),
]

NINE_TO_FOUR = TradingHours(exchange="XNYS", start="09:00", end="16:00", timezone=NEW_YORK)
NINE_TO_FOUR_OPENS = [
    ("2026-11-24", "14:00-21:00"),
    ("2026-11-26", None),
    ("2026-11-27", "14:00-18:00"),
    ("2026-03-09", "13:00-20:00"),
    ("2026-11-02", "14:00-21:00"),
]


def opens(hours: TradingHours, day: str) -> str | None:
    found = openings(hours, utc(f"{day} 00:00"), utc(f"{day} 23:59"))
    assert len(found) <= 1
    return (
        "-".join(shown(at_s).removeprefix(day).strip() for at_s in (found[0].start_s, found[0].end_s))
        if found
        else None
    )


@pytest.mark.parametrize(("exchange", "day", "expected"), OWN_HOURS)
def test_the_exchanges_own_hours(exchange: str, day: str, expected: str | None) -> None:
    assert opens(TradingHours(exchange=exchange), day) == expected


@pytest.mark.parametrize(("day", "expected"), NINE_TO_FOUR_OPENS)
def test_other_hours_on_its_days(day: str, expected: str | None) -> None:
    assert opens(NINE_TO_FOUR, day) == expected


def test_a_half_day_says_so_where_it_shortens_the_hours() -> None:
    at = new_york("2026-11-27 00:00"), new_york("2026-11-28 00:00")
    morning = TradingHours(exchange="XNYS", start="09:00", end="12:00")
    evening = TradingHours(exchange="XNYS", start="14:00", end="20:00")
    assert openings(NINE_TO_FOUR, *at)[0].note == "early close at 13:00"
    assert [(shown(one.end_s), one.note) for one in openings(morning, *at)] == [("2026-11-27 17:00", "")]
    assert openings(evening, *at) == ()


def test_hours_over_midnight_follow_the_day_on_which_they_start() -> None:
    night = TradingHours(exchange="XNYS", start="20:00", end="04:00", timezone=NEW_YORK)
    found = openings(night, new_york("2026-11-25 12:00"), new_york("2026-11-30 00:00"))
    # none on Thanksgiving and on Sunday; the half day's would start after its close
    assert [(shown(one.start_s), shown(one.end_s)) for one in found] == [("2026-11-26 01:00", "2026-11-26 09:00")]


def test_only_an_end_counts_from_the_exchanges_opening() -> None:
    assert opens(TradingHours(exchange="XNYS", end="12:00"), "2026-11-24") == "14:30-17:00"
    (one,) = openings(TradingHours(exchange="XNYS", end="09:00"), utc("2026-11-24 14:15"), utc("2026-11-25 14:15"))
    assert (shown(one.start_s), shown(one.end_s)) == ("2026-11-24 14:30", "2026-11-25 14:00")


def test_a_session_that_opens_on_the_evening_before() -> None:
    globex = TradingHours(exchange="CMES")  # 17:00 Chicago on the day before to 17:00
    found = openings(globex, utc("2026-11-24 00:00"), utc("2026-11-24 22:00"))
    assert [(shown(one.start_s), shown(one.end_s)) for one in found] == [("2026-11-23 23:00", "2026-11-24 23:00")]


def test_what_cron_cannot_say_of_november_2026() -> None:
    found = closed_days(NINE_TO_FOUR, new_york("2026-11-01 00:00"), new_york("2026-12-01 00:00"))
    assert [(str(day), what) for day, what in found] == [
        ("2026-11-26", "no session (Thanksgiving)"),
        ("2026-11-27", "early close at 13:00"),
    ]
    mornings = TradingHours(exchange="XNYS", start="09:00", end="12:00")
    assert [
        str(day) for day, _ in closed_days(mornings, new_york("2026-11-26 00:00"), new_york("2026-11-28 00:00"))
    ] == ["2026-11-26"]
