"""What a policy's windows mean: from calendars, weekdays and cron to the numbers that hold at a time.

Pure: time comes in as UTC epoch seconds, and the same arguments give the same answer for ever.
"""

from .checks import check_known, check_schedule
from .cut_overs import CutOver, cut_overs, next_cut_over
from .exchanges import KnownDays, known_days
from .openings import ClosedDay, Opening, closed_days, openings, timezone_of
from .situation import OpenWindow, Situation, policy_at, situation_at, window_label

__all__ = [
    "ClosedDay",
    "CutOver",
    "KnownDays",
    "OpenWindow",
    "Opening",
    "Situation",
    "check_known",
    "check_schedule",
    "closed_days",
    "cut_overs",
    "known_days",
    "next_cut_over",
    "openings",
    "policy_at",
    "situation_at",
    "timezone_of",
    "window_label",
]
