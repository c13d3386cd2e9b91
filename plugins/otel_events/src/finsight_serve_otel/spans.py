"""From hooks to spans: an apply from its begin to what became of it, a migration from being asked for to its end.

Whatever else happens is a span without length. Times are the controller's own.
"""

from dataclasses import dataclass, field

from opentelemetry.trace import Span, Tracer, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from finsight_serve.domain import Event

LOAD_BALANCER = "load balancer"
"""What events call it; to a hook it is the backend without a name."""
OVER = {"migration_done", "migration_rolled_back", "migration_failed"}
FAILED = {"apply_failed", "migration_rolled_back", "migration_failed", "store_failed", "amendment_refused"}
REPEATED = "as before"
"""A reason that was told is not told again."""


@dataclass
class _Migration:
    whole: Span
    part: Span | None = None  # the phase or step that it is in


@dataclass
class Spans:
    """Called by one thread, the controller's."""

    tracer: Tracer
    _applies: dict[str, Span] = field(default_factory=dict)
    _migrations: dict[str, _Migration] = field(default_factory=dict)

    def before_apply(self, backend: str, artefacts: int, now_s: float) -> None:
        name = backend or LOAD_BALANCER
        if earlier := self._applies.pop(name, None):
            _end(earlier, now_s, REPEATED, failed=True)
        self._applies[name] = self._begin(f"apply {name}", now_s, {"artefacts": artefacts})

    def on_event(self, event: Event) -> None:
        if event.kind in ("applied", "apply_failed") and event.subject in self._applies:
            _end(self._applies.pop(event.subject), event.at_s, event.reason, failed=event.kind in FAILED)
        elif event.kind.startswith("migration_"):
            self._migrate(event)
        else:
            moment = self._begin(event.kind, event.at_s, {"subject": event.subject})
            _end(moment, event.at_s, event.reason, failed=event.kind in FAILED)

    def _migrate(self, event: Event) -> None:
        """One that was under way before this process began is followed from where it is met."""
        one = self._migrations.get(event.subject)
        if one is None:
            one = _Migration(self._begin("migration", event.at_s, {"subject": event.subject}))
            self._migrations[event.subject] = one
        if one.part is not None:
            one.part.end(_ns(event.at_s))
        if event.kind in OVER:
            _end(one.whole, event.at_s, event.reason, failed=event.kind in FAILED)
            del self._migrations[event.subject]
            return
        one.part = self._begin(event.kind, event.at_s, {"reason": event.reason}, within=one.whole)

    def _begin(self, name: str, at_s: float, about: dict[str, str | int], within: Span | None = None) -> Span:
        context = set_span_in_context(within) if within is not None else None
        attributes = {f"finsight.{key}": value for key, value in about.items()}
        return self.tracer.start_span(name, context, attributes=attributes, start_time=_ns(at_s))


def _end(span: Span, at_s: float, reason: str, *, failed: bool) -> None:
    span.set_attribute("finsight.reason", reason)
    if failed:
        span.set_status(Status(StatusCode.ERROR, reason))
    span.end(_ns(at_s))


def _ns(at_s: float) -> int:
    return int(at_s * 1e9)
