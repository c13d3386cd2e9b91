from datetime import date

import pytest

from finsight_serve.domain import AutoscalingPolicy, CronHours, FieldError, TradingHours, Window
from finsight_serve.domain.hours import Hours
from finsight_serve.schedule import check_known, check_schedule, known_days

from .times import NEW_YORK

GOOD = Window(calendar=TradingHours(exchange="XNYS"), min_replicas=1)
ASK = "must be a cron expression as 0 9 * * 1-5"


def cron(start: str, end: str = "0 16 * * *") -> CronHours:
    return CronHours(start=start, end=end, timezone=NEW_YORK)


def schedule(hours: Hours) -> AutoscalingPolicy:
    kind = "cron" if isinstance(hours, CronHours) else "calendar"
    return AutoscalingPolicy(schedule=(GOOD, Window(min_replicas=1, **{kind: hours})))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hours", "field", "message"),
    [
        (
            TradingHours(exchange="XNYSE"),
            "calendar.exchange",
            "no exchange calendar is named XNYSE; did you mean XNYS?",
        ),
        (TradingHours(exchange="xlon"), "calendar.exchange", "no exchange calendar is named xlon; did you mean XLON?"),
        (
            TradingHours(exchange="?"),
            "calendar.exchange",
            "no exchange calendar is named ?; market identifier codes look like XNYS, XLON, XTKS",
        ),
        (
            TradingHours(exchange="XNYS", start="16:00"),
            "calendar.start",
            "must be before XNYS closes, found 16:00; or say when it ends",
        ),
        (cron("0 9 * *"), "cron.start", "must be a cron expression of 5 fields as 0 9 * * 1-5, found 0 9 * *"),
        (cron("61 9 * * *"), "cron.start", f"{ASK}: bad minute in 61 9 * * *"),
        (cron("0 9 * * *", "0 16 * * mon-"), "cron.end", f"{ASK}: bad day-of-week in 0 16 * * mon-"),
        (cron("0 9 30 2 *"), "cron.start", f"{ASK}: bad day-of-month in 0 9 30 2 *"),
        (cron("0 9 29 2 *"), "cron.start", "must name a time in every year, found 0 9 29 2 *"),
    ],
)
def test_what_only_calendars_and_cron_know(hours: Hours, field: str, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        check_schedule(schedule(hours))
    assert (caught.value.field, caught.value.message) == (f"schedule.1.{field}", message)


@pytest.mark.parametrize("exchange", ["XNYS", "NYSE", "XLON", "XTKS", "24/7", "CMES"])
def test_exchanges_that_are_known(exchange: str) -> None:
    check_schedule(schedule(TradingHours(exchange=exchange)))


def test_good_cron_expressions() -> None:
    check_schedule(schedule(cron("0 9 * * mon-fri", "0 16 31 12 *")))


@pytest.mark.parametrize("day", [date(1850, 1, 1), date(2200, 1, 1)])
def test_days_outside_what_anybody_knows(day: date) -> None:
    with pytest.raises(FieldError, match=f"{day} is outside the days that can be explained"):
        check_known(AutoscalingPolicy(), day)


def test_days_outside_a_calendar() -> None:
    policy = schedule(TradingHours(exchange="XHKG"))
    check_known(policy, date(2049, 12, 31))
    with pytest.raises(FieldError) as caught:
        check_known(policy, date(2050, 1, 1))
    assert caught.value.field == "schedule.1.calendar.exchange"
    assert "XHKG knows (1970-01-01 to 2049-12-31)" in caught.value.message
    assert date(2050, 1, 1) not in known_days(TradingHours(exchange="XHKG"))
