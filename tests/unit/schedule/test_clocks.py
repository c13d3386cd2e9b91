"""Weekly and cron hours, most of all where clocks are changed. 2026: New York 8 March and 1 November, London 29 March
and 25 October."""

import pytest

from finsight_serve.domain import CronHours, WeeklyHours
from finsight_serve.domain.hours import Hours, Weekday
from finsight_serve.schedule import openings

from .times import NEW_YORK, shown, utc

LONDON = "Europe/London"


def around(hours: Hours, day: str) -> list[str]:
    found = openings(hours, utc(f"{day} 00:00"), utc(f"{day} 23:00"))
    return [f"{shown(one.start_s)} to {shown(one.end_s)}" for one in found]


@pytest.mark.parametrize(
    ("zone", "day", "start", "end", "expected"),
    [
        # 02:00 to 03:00 is skipped: 02:30 is what the clock shows as 03:30
        (NEW_YORK, "2026-03-08", "02:30", "04:00", ["2026-03-08 07:30 to 2026-03-08 08:00"]),
        (NEW_YORK, "2026-03-08", "01:00", "02:30", ["2026-03-08 06:00 to 2026-03-08 07:30"]),
        (NEW_YORK, "2026-03-08", "02:15", "02:45", ["2026-03-08 07:15 to 2026-03-08 07:45"]),
        (NEW_YORK, "2026-03-08", "02:30", "03:00", []),
        # 01:00 to 02:00 comes twice: the first is meant
        (NEW_YORK, "2026-11-01", "01:30", "03:00", ["2026-11-01 05:30 to 2026-11-01 08:00"]),
        (NEW_YORK, "2026-11-01", "00:00", "01:30", ["2026-11-01 04:00 to 2026-11-01 05:30"]),
        (LONDON, "2026-03-29", "01:30", "03:00", ["2026-03-29 01:30 to 2026-03-29 02:00"]),
        (LONDON, "2026-10-25", "01:30", "03:00", ["2026-10-25 00:30 to 2026-10-25 03:00"]),
    ],
)
def test_a_weekly_edge_where_clocks_change(zone: str, day: str, start: str, end: str, expected: list[str]) -> None:
    weekday: tuple[Weekday, ...] = ("sun",)
    assert around(WeeklyHours(start=start, end=end, timezone=zone, days=weekday), day) == expected


def test_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    friday_night = WeeklyHours(start="22:00", end="02:00", timezone="UTC", days=("fri",))
    assert around(friday_night, "2026-11-27") == ["2026-11-27 22:00 to 2026-11-28 02:00"]
    assert around(friday_night, "2026-11-28") == ["2026-11-27 22:00 to 2026-11-28 02:00"]
    assert around(friday_night, "2026-11-29") == []


def test_a_night_in_which_clocks_change() -> None:
    every_night = WeeklyHours(start="22:00", end="02:30", timezone=NEW_YORK)
    assert around(every_night, "2026-03-08")[0] == "2026-03-08 03:00 to 2026-03-08 07:30"
    assert around(every_night, "2026-11-01")[0] == "2026-11-01 02:00 to 2026-11-01 07:30"


@pytest.mark.parametrize(
    ("day", "start", "end", "expected"),
    [
        ("2026-11-24", "0 9 * * 1-5", "0 16 * * 1-5", ["2026-11-24 14:00 to 2026-11-24 21:00"]),
        ("2026-11-28", "0 9 * * 1-5", "0 16 * * 1-5", []),
        # a skipped time means the first moment after the gap
        ("2026-03-08", "30 2 * * *", "0 4 * * *", ["2026-03-08 07:00 to 2026-03-08 08:00"]),
        # a time that comes twice means the first, unless every hour is meant
        ("2026-11-01", "30 1 * * *", "0 3 * * *", ["2026-11-01 05:30 to 2026-11-01 08:00"]),
        # from Monday 17:00 until Sunday 18:00; starts while it is open change nothing
        ("2026-11-28", "0 17 * * *", "0 18 * * 0", ["2026-11-23 22:00 to 2026-11-29 23:00"]),
        # a start at the moment of an end opens again
        (
            "2026-11-24",
            "0 */12 * * *",
            "0 0 * * *",
            ["2026-11-23 05:00 to 2026-11-24 05:00", "2026-11-24 05:00 to 2026-11-25 05:00"],
        ),
    ],
)
def test_cron(day: str, start: str, end: str, expected: list[str]) -> None:
    assert around(CronHours(start=start, end=end, timezone=NEW_YORK), day) == expected


def test_every_hour_includes_the_one_that_comes_twice() -> None:
    hours = CronHours(start="0 * * * *", end="30 * * * *", timezone=NEW_YORK)
    assert around(hours, "2026-11-01")[4:8] == [
        f"2026-11-01 {hour} to 2026-11-01 {end}"
        for hour, end in (("04:00", "04:30"), ("05:00", "05:30"), ("06:00", "06:30"), ("07:00", "07:30"))
    ]


def test_an_end_that_has_passed_does_not_come_again_with_the_second_hour() -> None:
    hours = CronHours(start="*/30 * * * *", end="45 1 * * *", timezone=NEW_YORK)
    assert around(hours, "2026-11-01") == [
        "2026-10-31 06:00 to 2026-11-01 05:45",
        "2026-11-01 06:00 to 2026-11-02 06:45",
    ]


def test_cron_hours_of_months() -> None:
    winter = CronHours(start="0 0 1 11 *", end="0 0 1 3 *", timezone="UTC")
    assert around(winter, "2027-02-10") == ["2026-11-01 00:00 to 2027-03-01 00:00"]
    assert around(winter, "2027-06-10") == []
