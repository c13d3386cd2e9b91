"""What happened and why: one stream that the log, the store and plugins subscribe to."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """`kind` is a stable word (`replica_evicted`), `subject` what it happened to, `reason` a sentence for people."""

    at_s: float  # Unix time
    kind: str
    subject: str
    reason: str
    data: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
