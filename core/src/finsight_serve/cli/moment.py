"""Times on the command line: a date or time in the zone that the policy's windows speak of."""

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ..errors import UserError

if TYPE_CHECKING:
    from ..domain import AutoscalingPolicy


def zone_of(policy: "AutoscalingPolicy") -> ZoneInfo:
    """The first window's; UTC where there is none."""
    from ..schedule import timezone_of

    return ZoneInfo(timezone_of(policy.schedule[0].hours) if policy.schedule else "UTC")


def parse_moment(option: str, text: str, zone: ZoneInfo) -> datetime:
    """Raises `UserError`."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{option}: must be a date or time as 2026-11-27 or 2026-11-27T12:30, found {text}") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)
