"""When a window is open: by an exchange's sessions, by weekdays, or by cron. What is said, not yet what it means."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .field_error import FieldError

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
EVERY_DAY: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class TradingHours:
    """On the days on which an exchange trades. A day that closes early ends the hours at its close.

    Raises `FieldError`. Whether the exchange is known is found out where its calendar is looked up.
    """

    exchange: str
    """The exchange's market identifier code (ISO 10383), as XNYS, XLON, XTKS."""
    start: str | None = None
    """Local time, HH:MM or HH:MM:SS; the exchange's own opening unless given."""
    end: str | None = None
    """Local time; not after `start` means the next day; the exchange's own close unless given."""
    timezone: str | None = None
    """An IANA time zone, as America/New_York; the exchange's own unless given."""

    def __post_init__(self) -> None:
        check_clock_times(self.start, self.end)
        check_timezone(self.timezone)


@dataclass(frozen=True, kw_only=True)
class WeeklyHours:
    """On the same weekdays of every week, holidays or not. Raises `FieldError`."""

    start: str
    """Local time, HH:MM or HH:MM:SS."""
    end: str
    """Local time; not after `start` means the next day."""
    timezone: str
    """An IANA time zone, as America/New_York."""
    days: tuple[Weekday, ...] = EVERY_DAY
    """The days on which it starts; every day unless given."""

    def __post_init__(self) -> None:
        check_clock_times(self.start, self.end)
        check_timezone(self.timezone)
        if not self.days:
            raise FieldError("days", f"must name at least one of {', '.join(EVERY_DAY)}")
        for day in self.days:
            if day not in EVERY_DAY:
                raise FieldError("days", f"must be of {', '.join(EVERY_DAY)}, found {day}")


@dataclass(frozen=True, kw_only=True)
class CronHours:
    """From each time that `start` names to the next that `end` names.

    Raises `FieldError`. Whether the expressions are right is found out where they are evaluated.
    """

    start: str
    """A cron expression of five fields: when it opens."""
    end: str
    """A cron expression of five fields: when it closes."""
    timezone: str
    """An IANA time zone, as America/New_York."""

    def __post_init__(self) -> None:
        check_timezone(self.timezone)
        if self.start.split() == self.end.split():
            raise FieldError("end", "must differ from start")


Hours = TradingHours | WeeklyHours | CronHours


def check_clock_times(start: str | None, end: str | None) -> None:
    for name, text in (("start", start), ("end", end)):
        if text is not None and not CLOCK_TIME.fullmatch(text):
            raise FieldError(name, f"must be a time of day as 09:00 or 09:00:30, found {text}")
    if start is not None and _with_seconds(start) == _with_seconds(end):
        raise FieldError("end", f"must differ from start, found {end} twice")


def _with_seconds(text: str | None) -> str | None:
    return text + ":00" if text is not None and text.count(":") == 1 else text


def check_timezone(name: str | None) -> None:
    if name is not None and not _is_timezone(name):
        raise FieldError("timezone", f"no IANA time zone is named {name}")


@cache
def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
