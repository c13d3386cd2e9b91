"""Windows as cron triggers, for clusters in which no controller follows the schedule; and what cron can't say of them.

A cron trigger is worth its count while its next end comes before its next start, and 0 else, to the minute.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from zoneinfo import ZoneInfo

from finsight_serve.domain import AutoscalingPolicy, CronHours, TradingHours, WeeklyHours, Window
from finsight_serve.domain.hours import EVERY_DAY, Hours
from finsight_serve.plugin import ApplyError
from finsight_serve.schedule import closed_days, openings, timezone_of, window_label

from .keda_cron import DAY_OF_MONTH, DAY_OF_WEEK, check_expression, takes_either_day

YEAR_S = 366 * 86400.0
DAY_MIN = 24 * 60
NOT_OF_A_WINDOW = ("min_replicas", "initial_replicas", "slo", "schedule")


@dataclass(frozen=True)
class CronWindow:
    """A raised floor. `start` and `end` are cron expressions of five fields."""

    name: str  # an identifier, by which a formula can know it
    start: str
    end: str
    timezone: str
    replicas: int


@dataclass(frozen=True)
class _Times:
    """Local times in minutes after midnight; `end_min` is beyond a day where it is the next one."""

    days: frozenset[int]  # 0 is Monday
    start_min: int
    end_min: int


def cron_windows(policy: AutoscalingPolicy) -> tuple[CronWindow, ...]:
    """One for each window that raises the floor. Raises `ApplyError` for a cron expression that KEDA can't read."""
    return tuple(
        CronWindow(_identifier(index, window), *_expressions(window), _floor(window, policy))
        for index, window in enumerate(policy.schedule)
        if _floor(window, policy) > policy.min_replicas
    )


def what_cron_cannot_say(policy: AutoscalingPolicy, now_s: float) -> Iterator[str]:
    """Sentences for people. `now_s`: the holidays named are those of the year from then on."""
    for window in policy.schedule:
        label = window_label(window)
        if _floor(window, policy) > policy.min_replicas and isinstance(window.hours, TradingHours):
            days = closed_days(window.hours, now_s, now_s + YEAR_S)
            if days:
                yield f"{label} raises the floor all the same on {', '.join(f'{day} {what}' for day, what in days)}"
        yield from (f"{label}: {what}" for what in _unsaid(window, policy))


def _unsaid(window: Window, policy: AutoscalingPolicy) -> Iterator[str]:
    floor = window.floor
    if floor is not None and floor > policy.max_replicas:
        yield f"its floor of {floor} is cut to the ceiling of {policy.max_replicas}, which can't be raised"
    if floor is not None and floor < policy.min_replicas:
        yield f"the floor stays at {policy.min_replicas}, as a trigger can't lower it"
    if window.max_replicas is not None:
        yield f"the ceiling can't be lowered to {window.max_replicas}"
    if window.policy is not None and (others := list(_other_numbers(window.policy, policy))):
        yield f"of its policy only the floor holds, not {', '.join(others)}"
    if isinstance(window.hours, CronHours) and any(map(_days_differ, (window.hours.start, window.hours.end))):
        yield "KEDA takes a day that matches either its day of month or its day of week, where both are meant"
    if window.lead_s == "measured":
        yield "its floor does not lead, as only a controller measures cold starts"
    elif window.lead_s and isinstance(window.hours, CronHours):
        yield f"its floor does not lead by {window.lead_s:g} s, as a cron expression can't be moved"
    elif window.lead_s and _lead_min(window, _times(window.hours)) * 60 < window.lead_s:
        yield f"its floor leads by less than {window.lead_s:g} s, as it must not reach into the day before"


def _other_numbers(named: AutoscalingPolicy, base: AutoscalingPolicy) -> Iterator[str]:
    for field in fields(AutoscalingPolicy):
        value = getattr(named, field.name)
        if field.name not in NOT_OF_A_WINDOW and value != getattr(base, field.name):
            yield f"{field.name} {'unset' if value is None else value if isinstance(value, str) else f'{value:g}'}"


def _floor(window: Window, policy: AutoscalingPolicy) -> int:
    return min(window.floor or 0, policy.max_replicas)


def _identifier(index: int, window: Window) -> str:
    return re.sub(r"\W+", "_", f"window_{index}_{window_label(window)}".lower(), flags=re.ASCII).strip("_")


def _expressions(window: Window) -> tuple[str, str, str]:
    hours = window.hours
    if isinstance(hours, CronHours):
        return _known(hours.start), _known(hours.end), hours.timezone
    times = _times(hours)
    start = _expression(times.start_min - _lead_min(window, times), times.days)
    return start, _expression(times.end_min, times.days), timezone_of(hours)


def _known(expression: str) -> str:
    try:
        check_expression(expression)
    except ValueError as reason:
        raise ApplyError(f"KEDA can't read the cron expression {expression!r}: {reason}") from reason
    return expression


def _days_differ(expression: str) -> bool:
    """Other crons take `*/2` for a star, and then a day must match both fields."""
    parts = expression.split()
    return takes_either_day(expression) and any(parts[place].startswith("*") for place in (DAY_OF_MONTH, DAY_OF_WEEK))


def _expression(at_min: int, days: frozenset[int]) -> str:
    shift, at_min = divmod(at_min, DAY_MIN)
    numbers = sorted({(day + shift + 1) % 7 for day in days})  # cron's week begins with Sunday, as 0
    return f"{at_min % 60} {at_min // 60} * * {_ranges(numbers) if len(numbers) < 7 else '*'}"


def _ranges(numbers: Sequence[int]) -> str:
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


def _lead_min(window: Window, times: _Times) -> int:
    """Whole minutes, never so many that a start would come before the end of the day before."""
    lead_s = 0.0 if window.lead_s == "measured" else window.lead_s
    gap_min = DAY_MIN - (times.end_min - times.start_min)
    return max(0, min(math.ceil(lead_s / 60), gap_min - 1))


def _times(hours: Hours) -> _Times:
    if isinstance(hours, WeeklyHours):
        days = frozenset(map(EVERY_DAY.index, hours.days))
        start, end = hours.start, hours.end
    else:
        assert isinstance(hours, TradingHours)
        days, usual_start, usual_end = _usual(hours)
        start, end = hours.start or usual_start, hours.end or usual_end
    start_min, end_min = math.floor(_minutes(start)), math.ceil(_minutes(end))
    return _Times(days, start_min, end_min if end_min > start_min else end_min + DAY_MIN)


def _usual(hours: TradingHours) -> tuple[frozenset[int], str, str]:
    """Weekdays and local times of most sessions of a year that every calendar knows."""
    zone = ZoneInfo(timezone_of(hours))
    from_s = datetime(2025, 1, 1, tzinfo=zone).timestamp()
    opened = [
        tuple(datetime.fromtimestamp(at_s, zone) for at_s in (one.start_s, one.end_s))
        for one in openings(hours, from_s, from_s + YEAR_S)
    ]
    days = Counter(start.weekday() for start, _ in opened)
    ((start, end), _), *_ = Counter((f"{start:%H:%M:%S}", f"{end:%H:%M:%S}") for start, end in opened).most_common(1)
    return frozenset(day for day, count in days.items() if count > YEAR_S / 86400 / 7 / 2), start, end


def _minutes(clock: str) -> float:
    hours, minutes, *seconds = map(int, clock.split(":"))
    return hours * 60 + minutes + (seconds[0] if seconds else 0) / 60
