"""What of a schedule can only be found out where calendars and cron expressions are evaluated."""

from datetime import UTC, date, datetime

from ..domain import AutoscalingPolicy, CronHours, FieldError, TradingHours
from .cron import YEAR_S, check_cron
from .exchanges import COVERED_BY_ALL, UNBOUNDED, KnownDays, find_exchange, known_days
from .openings import openings


def check_schedule(policy: AutoscalingPolicy) -> None:
    """Raises `FieldError` for the first window with an unknown exchange, a cron expression that means nothing, or
    hours that never open.

    The field is the dotted path from the policy, as `schedule.0.calendar.exchange`.
    """
    for index, window in enumerate(policy.schedule):
        hours = window.hours
        try:
            if isinstance(hours, TradingHours):
                kind = "calendar"
                _check_trading(hours)
            elif isinstance(hours, CronHours):
                kind = "cron"
                check_cron(hours)
        except FieldError as error:
            raise FieldError(f"schedule.{index}.{kind}.{error.field}", error.message) from error


def check_known(policy: AutoscalingPolicy, day: date) -> None:
    """Raises `FieldError` for a day outside what the calendars of its windows know, or that no calendar knows."""
    if day not in UNBOUNDED:
        raise FieldError("", f"{day} is outside the days that can be explained ({_range(UNBOUNDED)})")
    for index, window in enumerate(policy.schedule):
        known = known_days(window.hours)
        if day not in known:
            assert isinstance(window.hours, TradingHours)
            message = f"{day} is outside the days that the calendar of {window.hours.exchange} knows ({_range(known)})"
            raise FieldError(f"schedule.{index}.calendar.exchange", message)


def _range(known: KnownDays) -> str:
    return f"{known.first} to {known.last}"


def _check_trading(hours: TradingHours) -> None:
    find_exchange(hours.exchange)
    from_s = datetime(COVERED_BY_ALL, 1, 1, tzinfo=UTC).timestamp()
    if not openings(hours, from_s, from_s + YEAR_S):
        raise FieldError("start", f"must be before {hours.exchange} closes, found {hours.start}; or say when it ends")
