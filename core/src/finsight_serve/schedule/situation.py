"""The numbers that hold at a time, and why: windows put together.

Open windows combine by maximum. Of those that name a policy, the one with the highest floor takes the base's place (the
first listed wins ties). The floor is the highest of all; the ceiling is lowered to the highest that a lowering window
names, but never below the floor. Before a window opens, for as long as it leads, only its floor counts.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from ..domain import AutoscalingPolicy, Window
from ..domain.hours import CronHours, TradingHours
from .exchanges import has_session, known_days
from .openings import no_session, openings, timezone_of

DAY_S = 86400.0
DAYS_KEPT = 1024  # enough to walk through two years again without computing a day twice


@dataclass(frozen=True)
class OpenWindow:
    """A window that counts. `since_s` and `until_s`: when it opens and closes, UTC epoch seconds."""

    name: str
    since_s: float
    until_s: float
    leads: bool
    """It is not open yet: only its floor counts."""
    note: str
    """What is unusual about it, as an early close."""
    timezone: str
    """The zone of its clock times."""
    index: int
    """Its place in the policy's schedule."""


@dataclass(frozen=True)
class Situation:
    policy: AutoscalingPolicy
    """The numbers that hold; no schedule, no service level."""
    windows: tuple[OpenWindow, ...]
    why: str


def policy_at(policy: AutoscalingPolicy, now_s: float, cold_start_s: float | None = None) -> AutoscalingPolicy:
    """The numbers that hold at `now_s`. `cold_start_s`: what `lead_s: measured` means; no lead while None.

    Raises `FieldError` for a schedule that `check_schedule` refuses.
    """
    return held_at(policy, now_s, cold_start_s).policy if policy.schedule else _flat(policy)


def situation_at(policy: AutoscalingPolicy, now_s: float, cold_start_s: float | None = None) -> Situation:
    """As `policy_at`, with the windows that count and the reason in words."""
    situation = held_at(policy, now_s, cold_start_s)
    closed = tuple(_closures(policy.schedule, situation.windows, now_s))
    return replace(situation, why="; ".join((situation.why, *closed)))


def window_label(window: Window) -> str:
    """Its name; what it follows where it has none."""
    if window.name:
        return window.name
    hours = window.hours
    if isinstance(hours, TradingHours):
        return hours.exchange
    return f"cron {hours.start}" if isinstance(hours, CronHours) else f"weekly {hours.start}"


Step = tuple[float, Situation]


@lru_cache(maxsize=DAYS_KEPT)
def steps_of_day(policy: AutoscalingPolicy, day: int, cold_start_s: float | None) -> tuple[Step, ...]:
    """The situations of a UTC day (days since the epoch), each with its start; the first starts with the day."""
    from_s, to_s = day * DAY_S, (day + 1) * DAY_S
    stretches = tuple(_stretches(policy.schedule, from_s, to_s, cold_start_s))
    edges = {at_s for one in stretches for at_s in (one.leads_s, one.start_s, one.end_s) if from_s < at_s < to_s}
    return tuple((at_s, _combine(policy, stretches, at_s)) for at_s in sorted({from_s, *edges}))


def held_at(policy: AutoscalingPolicy, now_s: float, cold_start_s: float | None) -> Situation:
    """As `situation_at`, without why windows are closed."""
    steps = steps_of_day(policy, int(now_s // DAY_S), cold_start_s)
    return steps[bisect_right(steps, now_s, key=lambda step: step[0]) - 1][1]


@dataclass(frozen=True)
class _Stretch:
    """A window's opening with the time before it in which its floor leads."""

    index: int
    window: Window
    leads_s: float
    start_s: float
    end_s: float
    note: str

    def at(self, now_s: float) -> OpenWindow:
        return OpenWindow(
            window_label(self.window),
            self.start_s,
            self.end_s,
            now_s < self.start_s,
            self.note,
            timezone_of(self.window.hours),
            self.index,
        )


def _stretches(
    schedule: Sequence[Window], from_s: float, to_s: float, cold_start_s: float | None
) -> Iterator[_Stretch]:
    for index, window in enumerate(schedule):
        lead_s = (cold_start_s or 0.0) if window.lead_s == "measured" else window.lead_s
        for one in openings(window.hours, from_s, to_s + lead_s):
            yield _Stretch(index, window, one.start_s - lead_s, one.start_s, one.end_s, one.note)


def _combine(policy: AutoscalingPolicy, stretches: Sequence[_Stretch], now_s: float) -> Situation:
    open_ones = [one for one in stretches if one.start_s <= now_s < one.end_s]
    already = {one.index for one in open_ones}
    leading = [one for one in stretches if one.leads_s <= now_s < one.start_s and one.index not in already]
    named = max((one for one in open_ones if one.window.policy), key=lambda one: one.window.floor or 0, default=None)
    base = policy if named is None or named.window.policy is None else named.window.policy
    why = [f"{window_label(named.window)} is open: its policy holds"] if named else []

    floor = max([base.min_replicas, *(one.window.floor or 0 for one in (*open_ones, *leading))])
    if floor > base.min_replicas:
        why += [_raised(one, floor, now_s) for one in (*open_ones, *leading) if one.window.floor == floor]
    ceiling, lowered = base.max_replicas, [n for one in open_ones if (n := one.window.max_replicas) is not None]
    if lowered and max(lowered) < ceiling:
        ceiling = max(lowered)
        why += [f"{window_label(one.window)} lowers the ceiling" for one in open_ones if one.window.max_replicas]
    return Situation(
        _flat(base, floor, max(floor, ceiling)),
        tuple(one.at(now_s) for one in (*open_ones, *leading)),
        "; ".join(why) or ("no window changes a number" if open_ones else "no window is open"),
    )


def _raised(stretch: _Stretch, floor: int, now_s: float) -> str:
    name = window_label(stretch.window)
    if now_s >= stretch.start_s:
        return f"{name} raises the floor to {floor}"
    opens = datetime.fromtimestamp(stretch.start_s, ZoneInfo(timezone_of(stretch.window.hours)))
    return f"{name} raises the floor to {floor} ahead of its opening at {opens:%H:%M}"


def _closures(schedule: Sequence[Window], counting: Sequence[OpenWindow], now_s: float) -> Iterator[str]:
    """Why exchanges' windows are closed today, where it is not the time of day or the weekend."""
    counted = {one.index for one in counting}
    for index, window in enumerate(schedule):
        hours = window.hours
        if not isinstance(hours, TradingHours) or index in counted:
            continue
        day, known = datetime.fromtimestamp(now_s, ZoneInfo(timezone_of(hours))).date(), known_days(hours)
        if day not in known:
            yield f"{hours.exchange}: its calendar is known from {known.first} to {known.last} only"
        elif day.weekday() < 5 and not has_session(hours.exchange, day):
            yield f"{hours.exchange}: {no_session(hours.exchange, day)} on {day:%a} {day}"


@lru_cache(maxsize=DAYS_KEPT)
def _flat(policy: AutoscalingPolicy, floor: int | None = None, ceiling: int | None = None) -> AutoscalingPolicy:
    low = policy.min_replicas if floor is None else floor
    high = policy.max_replicas if ceiling is None else ceiling

    def within(count: int | None) -> int | None:
        return None if count is None else min(max(count, low), high)

    lost = policy.on_signal_loss
    return replace(
        policy,
        min_replicas=low,
        max_replicas=high,
        initial_replicas=within(policy.initial_replicas),
        on_signal_loss=lost if isinstance(lost, str) else min(max(lost, low), high),
        slo=None,
        schedule=(),
    )
