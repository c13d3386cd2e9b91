"""The moments at which other numbers begin to hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..domain import AutoscalingPolicy
from .situation import DAY_S, Situation, held_at, steps_of_day

HORIZON_DAYS = 400  # every window but one on a 29 February comes within a year


@dataclass(frozen=True)
class CutOver:
    """`before` and `after` are flat and differ. `timezone`: of the window that caused it."""

    at_s: float
    before: AutoscalingPolicy
    after: AutoscalingPolicy
    why: str
    timezone: str


def cut_overs(
    policy: AutoscalingPolicy, from_s: float, to_s: float, cold_start_s: float | None = None
) -> tuple[CutOver, ...]:
    """Those after `from_s`, up to and including `to_s`, so that ranges laid end to end name each once. UTC seconds.

    Raises `FieldError` for a schedule that `check_schedule` refuses.
    """
    return tuple(_cut_overs(policy, from_s, to_s, cold_start_s))


def next_cut_over(policy: AutoscalingPolicy, now_s: float, cold_start_s: float | None = None) -> CutOver | None:
    """The first after `now_s`; None where none comes within a year. Raises as `cut_overs`."""
    if not policy.schedule:
        return None
    ends_s = (int(now_s // DAY_S) + 1) * DAY_S
    today = next(_cut_overs(policy, now_s, ends_s - 1e-6, cold_start_s), None)
    return today or _first_from(policy, ends_s, cold_start_s)


@lru_cache(maxsize=64)
def _first_from(policy: AutoscalingPolicy, from_s: float, cold_start_s: float | None) -> CutOver | None:
    found = _cut_overs(policy, from_s - 1e-6, from_s + HORIZON_DAYS * DAY_S, cold_start_s)
    return next(found, None)


def _cut_overs(policy: AutoscalingPolicy, from_s: float, to_s: float, cold_start_s: float | None) -> Iterator[CutOver]:
    if not policy.schedule:
        return
    before = held_at(policy, from_s, cold_start_s)
    for day in range(int(from_s // DAY_S), int(to_s // DAY_S) + 1):
        for at_s, after in steps_of_day(policy, day, cold_start_s):
            if not from_s < at_s <= to_s:
                continue
            if after.policy != before.policy:
                why, timezone = _cause(before, after)
                yield CutOver(at_s, before.policy, after.policy, why, timezone)
            before = after


def _cause(before: Situation, after: Situation) -> tuple[str, str]:
    """What happened to the windows, in words, and the time zone of the first of them."""
    opened = [one for one in after.windows if not one.leads and one not in before.windows]
    closed = [one for one in before.windows if not one.leads and one not in after.windows]
    leading = [one for one in after.windows if one.leads and one not in before.windows]
    words = [f"{one.name} opens" for one in opened]
    words += [f"{one.name} closes" + (f" ({one.note})" if one.note else "") for one in closed]
    words += [f"{one.name} raises its floor ahead of its opening" for one in leading]
    return "; ".join(words), (opened or closed or leading)[0].timezone
