"""Pure decisions and the values they decide on. Standard library only; no I/O, no clock."""

from .event import Event
from .policy import AutoscalingPolicy, FieldError

__all__ = ["AutoscalingPolicy", "Event", "FieldError"]
