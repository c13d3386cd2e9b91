"""Openings between cron expressions. The one place that imports cronsim."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ..domain import FieldError
from ..domain.hours import CronHours

FIELDS = 5
DAY_S = 86400.0
YEAR_S = 366 * DAY_S
LOOK_BACK_S = (3600.0, 2 * DAY_S, 32 * DAY_S, YEAR_S)
COMMON_YEAR = datetime(2025, 1, 1)  # one without a 29 February


def cron_openings(hours: CronHours, from_s: float, to_s: float) -> Iterator[tuple[float, float]]:
    """(start, end) of those that overlap [from_s, to_s), UTC epoch seconds. A start while it is open changes nothing;
    one at the moment of an end opens it again. Raises `FieldError`.
    """
    zone = ZoneInfo(hours.timezone)
    closed_s = _last_close_s(hours, from_s, zone)
    while (start_s := _after(hours.start, closed_s - 1, zone)) is not None and start_s < to_s:
        end_s = _after(hours.end, start_s, zone)
        if end_s is None:
            return
        if end_s > from_s:
            yield start_s, end_s
        closed_s = end_s


def check_cron(hours: CronHours) -> None:
    """Raises `FieldError` for an expression that is wrong, or that names no time in most years."""
    zone = ZoneInfo(hours.timezone)
    from_s = COMMON_YEAR.replace(tzinfo=zone).timestamp() - 1
    for field in ("start", "end"):
        expression = getattr(hours, field)
        if len(expression.split()) != FIELDS:
            raise FieldError(field, f"must be a cron expression of {FIELDS} fields as 0 9 * * 1-5, found {expression}")
        try:
            at_s = _after(expression, from_s, zone)
        except CronSimError as error:
            reason = str(error).lower()
            raise FieldError(field, f"must be a cron expression as 0 9 * * 1-5: {reason} in {expression}") from error
        if at_s is None or at_s > from_s + YEAR_S:
            raise FieldError(field, f"must name a time in every year, found {expression}")


def _last_close_s(hours: CronHours, from_s: float, zone: ZoneInfo) -> float:
    """A moment at or before `from_s` at which the hours closed: from there on, starts and ends can be paired."""
    for look_back_s in LOOK_BACK_S:
        end_s = _after(hours.end, from_s - look_back_s, zone)
        if end_s is not None and end_s <= from_s:
            return end_s
    return from_s - LOOK_BACK_S[-1]


def _after(expression: str, at_s: float, zone: ZoneInfo) -> float | None:
    """The first time that it names after `at_s`."""
    for found in CronSim(expression, datetime.fromtimestamp(at_s, zone)):
        # cronsim compares clock times, so in the hour that comes twice it may answer with one that has passed
        if found.timestamp() > at_s:
            return found.timestamp()
    return None
