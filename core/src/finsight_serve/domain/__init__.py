"""Pure decisions and the values they decide on. Standard library only; no I/O, no clock."""

from .dashboard import Dashboard
from .event import Event
from .field_error import FieldError
from .hours import CronHours, TradingHours, WeeklyHours
from .monitoring import Alert, ScrapeJob
from .policy import AutoscalingPolicy, ServiceLevel, Window, market_hours

__all__ = [
    "Alert",
    "AutoscalingPolicy",
    "CronHours",
    "Dashboard",
    "Event",
    "FieldError",
    "ScrapeJob",
    "ServiceLevel",
    "TradingHours",
    "WeeklyHours",
    "Window",
    "market_hours",
]
