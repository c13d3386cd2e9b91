"""Moments, as people read them."""

from datetime import datetime


def clock_time(at_s: float) -> str:
    """This machine's time, to the second."""
    return f"{datetime.fromtimestamp(at_s):%Y-%m-%d %H:%M:%S}"


def iso_time(at_s: float) -> str:
    """As `clock_time`, with the offset from UTC, for what is kept."""
    return datetime.fromtimestamp(at_s).astimezone().isoformat(timespec="seconds")
