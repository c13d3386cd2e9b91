"""Who changed what, from what to what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AuditEntry:
    at_s: float  # Unix time
    by: str  # the person's name on this system, or "controller"
    action: str  # a stable word: `key_rotated`
    subject: str  # what it was done to: "tenant acme"
    before: str  # for people; "" where there was nothing
    after: str
