"""Windows as cron triggers, against a table written by hand, and what is said of the rest."""

from datetime import UTC, datetime
from typing import Any

import pytest

from finsight_serve.domain import AutoscalingPolicy, CronHours, TradingHours, WeeklyHours, Window
from finsight_serve.domain.hours import EVERY_DAY, Hours, Weekday
from finsight_serve.plugin import ApplyError
from finsight_serve_k8s_keda.cron_windows import cron_windows, what_cron_cannot_say

NOW_S = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
NY = "America/New_York"
NYSE = TradingHours(exchange="XNYS", start="09:00", end="16:00", timezone=NY)
WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")


def policy(*windows: Window, **numbers: Any) -> AutoscalingPolicy:
    return AutoscalingPolicy(**{"max_replicas": 4, **numbers}, schedule=windows)


def times(window: Window) -> tuple[str, str, str]:
    (found,) = cron_windows(policy(window))
    return found.start, found.end, found.timezone


def said(*windows: Window, **numbers: Any) -> list[str]:
    return list(what_cron_cannot_say(policy(*windows, **numbers), NOW_S))


def weekly(start: str, end: str, *days: Weekday) -> WeeklyHours:
    return WeeklyHours(start=start, end=end, timezone=NY, days=days or EVERY_DAY)


@pytest.mark.parametrize(
    ("hours", "lead_s", "start", "end", "zone"),
    [
        (NYSE, 0, "0 9 * * 1-5", "0 16 * * 1-5", NY),
        (NYSE, 90, "58 8 * * 1-5", "0 16 * * 1-5", NY),
        (TradingHours(exchange="XNYS"), 0, "30 9 * * 1-5", "0 16 * * 1-5", NY),
        (TradingHours(exchange="XTKS"), 0, "0 9 * * 1-5", "30 15 * * 1-5", "Asia/Tokyo"),
        (TradingHours(exchange="XSAU"), 0, "0 10 * * 0-4", "0 15 * * 0-4", "Asia/Riyadh"),
        (weekly("22:00", "06:00", *WEEK), 0, "0 22 * * 1-5", "0 6 * * 2-6", NY),
        (weekly("22:00", "06:00"), 0, "0 22 * * *", "0 6 * * *", NY),
        (weekly("00:05", "06:00", *WEEK), 600, "55 23 * * 0-4", "0 6 * * 1-5", NY),
        (weekly("09:00:30", "09:30:30", "sat", "mon"), 0, "0 9 * * 1,6", "31 9 * * 1,6", NY),
        (weekly("09:00", "16:00"), 86400, "1 16 * * *", "0 16 * * *", NY),
        (CronHours(start="0 8 * * 1-5", end="30 17 * * 1-5", timezone=NY), 60, "0 8 * * 1-5", "30 17 * * 1-5", NY),
    ],
)
def test_times(hours: Hours, lead_s: float, start: str, end: str, zone: str) -> None:
    kind = {TradingHours: "calendar", WeeklyHours: "weekly", CronHours: "cron"}[type(hours)]
    assert times(Window(**{kind: hours}, min_replicas=2, lead_s=lead_s)) == (start, end, zone)


def test_only_raised_floors_become_triggers() -> None:
    base = policy(
        Window(calendar=NYSE, max_replicas=3),
        Window(calendar=NYSE, min_replicas=2),
        Window(name="Müller's night", calendar=NYSE, min_replicas=3),
        Window(calendar=NYSE, policy=AutoscalingPolicy(min_replicas=9, max_replicas=9)),
        min_replicas=2,
    )
    found = cron_windows(base)
    assert [(one.name, one.replicas) for one in found] == [("window_2_m_ller_s_night", 3), ("window_3_xnys", 4)]


NOTHING = AutoscalingPolicy(min_replicas=0, max_replicas=4)
MUCH = AutoscalingPolicy(min_replicas=8, max_replicas=8)
FAST = AutoscalingPolicy(min_replicas=2, max_replicas=4, upscaling_factor=2, downscale_delay_s=60)


@pytest.mark.parametrize(
    ("window", "sentence"),
    [
        ({"max_replicas": 3}, "the ceiling can't be lowered to 3"),
        ({"policy": NOTHING}, "the floor stays at 1, as a trigger can't lower it"),
        ({"policy": MUCH}, "its floor of 8 is cut to the ceiling of 4, which can't be raised"),
        ({"policy": FAST}, "of its policy only the floor holds, not downscale_delay_s 60, upscaling_factor 2"),
        (
            {"min_replicas": 2, "lead_s": "measured"},
            "its floor does not lead, as only a controller measures cold starts",
        ),
    ],
)
def test_what_cron_cannot_say(window: dict[str, Any], sentence: str) -> None:
    assert f"XNYS: {sentence}" in said(Window(calendar=NYSE, **window))


def test_holidays_and_half_days_of_the_coming_year_are_named() -> None:
    (sentence, *rest) = said(Window(calendar=NYSE, min_replicas=2))
    assert rest == []
    # the exchange's published calendar: closed on Labor Day, Thanksgiving and Christmas, early on the days around them
    for day in ("2026-09-07", "2026-11-26", "2026-12-25", "2027-01-01", "2027-07-05"):
        assert f"{day} no session" in sentence
    for day in ("2026-11-27", "2026-12-24"):
        assert f"{day} early close at 13:00" in sentence


def test_a_lead_that_is_not_whole_is_said() -> None:
    day = Window(weekly=WeeklyHours(start="09:00", end="16:00", timezone=NY), min_replicas=2, lead_s=86400)
    assert "must not reach into the day before" in said(day)[0]
    cron = Window(cron=CronHours(start="0 8 * * *", end="0 9 * * *", timezone=NY), min_replicas=2, lead_s=60)
    assert "does not lead by 60 s" in said(cron)[0]


@pytest.mark.parametrize("start", ["0 8 * * 7", "0 8 * * 5L", "0 8 * * 1#2", "0 8 L * *"])
def test_what_keda_cannot_read_is_refused(start: str) -> None:
    window = Window(cron=CronHours(start=start, end="0 9 * * *", timezone=NY), min_replicas=2)
    with pytest.raises(ApplyError, match="KEDA can't read the cron expression"):
        cron_windows(policy(window))


@pytest.mark.parametrize(
    "start",
    ["0 8 * * 1-6", "0 8 7 7 *", "0 8 * JUL *", "0 8 * * MON-WED", "0 8 * * */7", "0 8 * * mon,wed", "5/20 8 * * *"],
)
def test_what_keda_can_read_is_left_alone(start: str) -> None:
    assert times(Window(cron=CronHours(start=start, end="0 9 * * *", timezone=NY), min_replicas=2))[0] == start


@pytest.mark.parametrize(("start", "said_so"), [("0 8 */2 * 1", 1), ("0 8 * * */2", 0), ("0 8 1 * 1", 0)])
def test_days_that_keda_reads_otherwise_are_said(start: str, said_so: int) -> None:
    window = Window(cron=CronHours(start=start, end="0 9 * * *", timezone=NY), min_replicas=2)
    assert len([sentence for sentence in said(window) if "either its day of month" in sentence]) == said_so
