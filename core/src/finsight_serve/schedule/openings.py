"""When hours are open, in UTC.

Clock times are of the hours' time zone, as `zoneinfo` reads them with fold 0. Where clocks are put back, a time that
comes twice means the first. Where they are put forward, a time that is skipped means as long after midnight as on any
other day: 02:30 is then what the clock shows as 03:30. Hours that end before they start on such a day are not open.
Cron expressions follow Debian's cron, by `cronsim`: a skipped time means the first moment after the gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..domain.hours import EVERY_DAY, CronHours, Hours, TradingHours, WeeklyHours
from .cron import cron_openings
from .exchanges import Session, find_exchange, holiday, known_days, sessions

DAY = timedelta(days=1)
MARGIN = 2 * DAY  # between a session's date and the moments that it covers: time zones, nights, eves


@dataclass(frozen=True)
class Opening:
    """From `start_s` until before `end_s`, UTC epoch seconds. `note`: what is unusual about it, as an early close."""

    start_s: float
    end_s: float
    note: str = ""


class ClosedDay(NamedTuple):
    day: date
    what: str


def openings(hours: Hours, from_s: float, to_s: float) -> tuple[Opening, ...]:
    """Those that overlap [from_s, to_s), by start. Outside the days that a calendar knows there are none.

    Trading hours: a lunch break does not close them; a day that closes early ends them at its close at the latest, and
    hours that start after it are not open. Raises `FieldError` for an unknown exchange or a wrong cron expression.
    """
    if isinstance(hours, CronHours):
        return tuple(Opening(start_s, end_s) for start_s, end_s in cron_openings(hours, from_s, to_s))
    first, last = _day(from_s) - MARGIN, _day(to_s) + MARGIN
    found = _weekly(hours, first, last) if isinstance(hours, WeeklyHours) else _trading(hours, first, last)
    return tuple(one for one in found if one.start_s < to_s and one.end_s > from_s)


def timezone_of(hours: Hours) -> str:
    """The zone of its clock times. Raises `FieldError` for an unknown exchange."""
    if isinstance(hours, TradingHours) and hours.timezone is None:
        return find_exchange(hours.exchange).timezone
    assert hours.timezone is not None
    return hours.timezone


def closed_days(hours: TradingHours, from_s: float, to_s: float) -> tuple[ClosedDay, ...]:
    """What a weekly rule gets wrong in [from_s, to_s): Mondays to Fridays without a session, and early closes that
    shorten the hours. Days of the hours' time zone; none outside the days that the calendar knows.
    """
    zone, known = ZoneInfo(timezone_of(hours)), known_days(hours)
    first, last = (datetime.fromtimestamp(at_s, zone).date() for at_s in (from_s, to_s - 1))
    first, last = max(first, known.first), min(last, known.last)
    by_day = {session.day: session for session in sessions(hours.exchange, first, last)}
    found = []
    for day in _days(first, last):
        session = by_day.get(day)
        if session is None and day.weekday() < 5:
            found.append(ClosedDay(day, no_session(hours.exchange, day)))
        elif session is not None and session.closes_early:
            opening = _session_opening(hours, session, zone)
            if opening is None or opening.note:
                found.append(ClosedDay(day, _early(session, zone)))
    return tuple(found)


def no_session(exchange: str, day: date) -> str:
    name = holiday(exchange, day)
    return "no session" + (f" ({name})" if name else "")


def _weekly(hours: WeeklyHours, first: date, last: date) -> Iterator[Opening]:
    zone, start, end = ZoneInfo(hours.timezone), time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    for day in _days(first, last):
        if EVERY_DAY[day.weekday()] in hours.days:
            start_s, end_s = _moment_s(day, start, zone), _moment_s(day if end > start else day + DAY, end, zone)
            if start_s < end_s:
                yield Opening(start_s, end_s)


def _trading(hours: TradingHours, first: date, last: date) -> Iterator[Opening]:
    zone = ZoneInfo(timezone_of(hours))
    for session in sessions(hours.exchange, first, last):
        if opening := _session_opening(hours, session, zone):
            yield opening


def _session_opening(hours: TradingHours, session: Session, zone: ZoneInfo) -> Opening | None:
    start_s, end_s, note = session.opens_s, session.closes_s, ""
    if hours.start is not None:
        start_s = _moment_s(session.day, time.fromisoformat(hours.start), zone)
    if hours.end is not None:
        end = time.fromisoformat(hours.end)
        end_s = _moment_s(session.day, end, zone)
        # by the clock where there are two: on a day of changing clocks the order of moments may differ
        if end <= time.fromisoformat(hours.start) if hours.start is not None else end_s <= start_s:
            end_s = _moment_s(session.day + DAY, end, zone)
    if session.closes_early and session.closes_s <= end_s:
        end_s, note = session.closes_s, _early(session, zone)
    return Opening(start_s, end_s, note) if start_s < end_s else None


def _early(session: Session, zone: ZoneInfo) -> str:
    return f"early close at {datetime.fromtimestamp(session.closes_s, zone):%H:%M}"


def _moment_s(day: date, clock: time, zone: ZoneInfo) -> float:
    return datetime.combine(day, clock, zone).timestamp()


def _day(at_s: float) -> date:
    return datetime.fromtimestamp(at_s, UTC).date()


def _days(first: date, last: date) -> Iterator[date]:
    for offset in range((last - first).days + 1):
        yield first + offset * DAY
