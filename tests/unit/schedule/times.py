"""Short ways to write times down."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

NEW_YORK = "America/New_York"


def utc(text: str) -> float:
    """`2026-11-27 14:30` as epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def new_york(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(NEW_YORK)).timestamp()


def shown(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}"
