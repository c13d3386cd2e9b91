"""Exchanges' trading days. The one place that imports exchange_calendars, and only when called: it takes a second."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..domain import FieldError
from ..domain.hours import Hours, TradingHours
from ..errors import did_you_mean, one_line

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

COVERED_BY_ALL = 2025  # a year inside every calendar's bounds: a calendar tells its bounds only once it is built


class KnownDays(NamedTuple):
    first: date
    last: date

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last


# Where a calendar names no bounds its rules are extrapolated without end. No service ran before the epoch,
# and a holiday rule of today is a guess at most for the next century.
UNBOUNDED = KnownDays(date(1970, 1, 1), date(2099, 12, 31))


@dataclass(frozen=True)
class Session:
    """One trading day; times are UTC epoch seconds."""

    day: date
    opens_s: float
    closes_s: float
    closes_early: bool


@dataclass(frozen=True)
class Exchange:
    timezone: str
    known: KnownDays


def known_days(hours: Hours) -> KnownDays:
    """The days on which it is known whether `hours` are open. Raises `FieldError` for an unknown exchange."""
    return find_exchange(hours.exchange).known if isinstance(hours, TradingHours) else UNBOUNDED


@cache
def find_exchange(name: str) -> Exchange:
    """Raises `FieldError` (field `exchange`) with the nearest name, or with why its calendar can't be computed."""
    from exchange_calendars import get_calendar_names

    names = get_calendar_names()
    if name not in names:
        hint = did_you_mean(name.upper(), names) or "; market identifier codes look like XNYS, XLON, XTKS"
        raise FieldError("exchange", f"no exchange calendar is named {name}{hint}")
    try:
        calendar = _calendar(name, date(COVERED_BY_ALL, 1, 1), date(COVERED_BY_ALL, 12, 31))
    except Exception as error:  # some calendars' rules break with some versions of pandas, each in its own way
        raise FieldError("exchange", f"the calendar of {name} can't be computed ({one_line(error)})") from error
    first, last = calendar.bound_min(), calendar.bound_max()
    known = KnownDays(
        UNBOUNDED.first if first is None else max(first.date(), UNBOUNDED.first),
        UNBOUNDED.last if last is None else min(last.date(), UNBOUNDED.last),
    )
    return Exchange(str(calendar.tz), known)


def sessions(exchange: str, first: date, last: date) -> Iterator[Session]:
    """The sessions from `first` to `last`, both included; none outside the days that are known."""
    for year in range(first.year, last.year + 1):
        for day, session in _year(exchange, year).sessions.items():
            if first <= day <= last:
                yield session


def has_session(exchange: str, day: date) -> bool:
    return day in _year(exchange, day.year).sessions


def holiday(exchange: str, day: date) -> str | None:
    """The name of the regular holiday on `day`; None also for closures that were announced once."""
    return _year(exchange, day.year).holidays.get(day)


@dataclass(frozen=True)
class _Year:
    sessions: Mapping[date, Session]
    holidays: Mapping[date, str]


@cache
def _year(exchange: str, year: int) -> _Year:
    known = find_exchange(exchange).known
    if not known.first.year <= year <= known.last.year:
        return _Year({}, {})
    first, last = max(known.first, date(year, 1, 1)), min(known.last, date(year, 12, 31))
    calendar = _calendar(exchange, first, last)
    early = {stamp.date() for stamp in calendar.early_closes}
    found = {
        opens.day: Session(opens.day, opens.at_s, closes.at_s, opens.day in early)
        for opens, closes in zip(_stamps(calendar, "opens"), _stamps(calendar, "closes"), strict=True)
    }
    regular = calendar.regular_holidays
    if regular is None:
        return _Year(found, {})
    names = regular.holidays(first - timedelta(days=1), last, return_name=True)
    return _Year(found, {stamp.date(): str(name) for stamp, name in names.items()})


class _Stamp(NamedTuple):
    day: date
    at_s: float


def _stamps(calendar: "ExchangeCalendar", column: str) -> Iterator[_Stamp]:
    for label, stamp in getattr(calendar, column).items():
        yield _Stamp(label.date(), stamp.timestamp())


def _calendar(name: str, first: date, last: date) -> "ExchangeCalendar":
    from exchange_calendars import get_calendar

    return get_calendar(name, start=first.isoformat(), end=last.isoformat())
