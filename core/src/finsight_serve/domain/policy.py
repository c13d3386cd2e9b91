"""What a deployment's replica count should follow. Bounds, target, delays and windows; no orchestrator's words."""

from dataclasses import dataclass, fields
from typing import Literal

from .field_error import FieldError
from .hours import CronHours, Hours, TradingHours, WeeklyHours

LONGEST_LEAD_S = 86400.0
"""A day: no replica starts for longer, and a floor raised days ahead is better said by a window."""

SignalLoss = Literal["hold", "floor"] | int


@dataclass(frozen=True, kw_only=True)
class ServiceLevel:
    """What users were promised. Read by lint, simulation and alerts; no orchestrator is told of it.

    Raises `FieldError`.
    """

    p99_wait_s: float | None = None
    """Of 100 requests, 99 are begun within this."""
    p99_ttft_s: float | None = None
    """Of 100 requests, 99 have their first token within this."""

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is not None and value <= 0:
                raise FieldError(spec.name, f"must be greater than 0, found {value:g}")


@dataclass(frozen=True, kw_only=True)
class AutoscalingPolicy:
    """Replica bounds, how fast the count follows the load, and windows in which other numbers hold.

    Field names and meanings are Ray Serve's `AutoscalingConfig` where it has them. The decision they describe is
    `ceil(ready + factor * (ongoing / target_ongoing_requests - ready))`, clamped to the bounds,
    acted on after it has stood for the delay of its direction.

    Raises `FieldError` (a `ValueError`) naming the first field whose value makes no sense.
    """

    min_replicas: int = 1
    """Never fewer than these."""
    max_replicas: int = 1
    """Never more than these."""
    target_ongoing_requests: float = 10.0
    """Requests that one replica should have in work and queued at a time."""
    upscale_delay_s: float = 30.0
    """How long more replicas must have been wanted before they are started."""
    downscale_delay_s: float = 300.0
    """How long fewer replicas must have been wanted before some are stopped."""
    smoothing_factor: float = 1.0
    """Share of the distance to the wanted count that one step covers: below 1 calmer, above 1 faster."""
    upscaling_factor: float | None = None
    """The same for steps up only; smoothing_factor unless given."""
    downscaling_factor: float | None = None
    """The same for steps down only; smoothing_factor unless given."""
    look_back_period_s: float = 30.0
    """Over how long the ongoing requests are averaged."""
    initial_replicas: int | None = None
    """Replicas at the first start; min_replicas unless given."""
    on_signal_loss: SignalLoss = "hold"
    """Where nothing is known of the load: hold the count, go to the floor, or to so many replicas."""
    slo: ServiceLevel | None = None
    """What users were promised; lint, simulation and alerts read it."""
    schedule: "tuple[Window, ...]" = ()
    """Stretches of time in which another policy holds, the floor is raised or the ceiling lowered."""

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str) and value < 0:
                raise FieldError(name, f"must be at least 0, found {value:g}")
        for name in _POSITIVE:
            if getattr(self, name) == 0:
                raise FieldError(name, "must be greater than 0, found 0")
        if self.max_replicas < self.min_replicas:
            raise FieldError(
                "max_replicas", f"must be at least min_replicas ({self.min_replicas}), found {self.max_replicas}"
            )
        self._check_between_bounds("initial_replicas", self.initial_replicas)
        if isinstance(self.on_signal_loss, str):
            if self.on_signal_loss not in ("hold", "floor"):
                raise FieldError(
                    "on_signal_loss", f"must be hold, floor or a number of replicas, found {self.on_signal_loss}"
                )
        else:
            self._check_between_bounds("on_signal_loss", self.on_signal_loss)
        for index, window in enumerate(self.schedule):
            _check_window(f"schedule.{index}", window, self)

    @property
    def up_factor(self) -> float:
        """The factor of steps up."""
        return self.smoothing_factor if self.upscaling_factor is None else self.upscaling_factor

    @property
    def down_factor(self) -> float:
        """The factor of steps down."""
        return self.smoothing_factor if self.downscaling_factor is None else self.downscaling_factor

    def _check_between_bounds(self, field: str, value: int | None) -> None:
        if value is not None and not self.min_replicas <= value <= self.max_replicas:
            bounds = f"from min_replicas ({self.min_replicas}) to max_replicas ({self.max_replicas})"
            raise FieldError(field, f"must be {bounds}, found {value}")


@dataclass(frozen=True, kw_only=True)
class Window:
    """Exactly one of `calendar`, `weekly` and `cron` says when; `policy` or bounds say what holds then.

    Raises `FieldError`.
    """

    name: str = ""
    """Its name in events and in `fs policy explain`."""
    calendar: TradingHours | None = None
    """Open on an exchange's trading days."""
    weekly: WeeklyHours | None = None
    """Open on weekdays."""
    cron: CronHours | None = None
    """Open between two cron expressions."""
    policy: AutoscalingPolicy | None = None
    """All of this policy's numbers hold while the window is open."""
    min_replicas: int | None = None
    """Raises the floor to this while the window is open."""
    max_replicas: int | None = None
    """Lowers the ceiling to this while the window is open."""
    lead_s: float | Literal["measured"] = 0.0
    """How long before its start the floor is raised, so that capacity is ready by then; `measured`: a cold start."""

    def __post_init__(self) -> None:
        if sum(kind is not None for kind in (self.calendar, self.weekly, self.cron)) != 1:
            raise FieldError("", "say when: exactly one of calendar, weekly and cron")
        if self.policy is None and self.min_replicas is None and self.max_replicas is None:
            raise FieldError("", "say what holds: a policy, min_replicas or max_replicas")
        if self.policy is not None and (self.min_replicas is not None or self.max_replicas is not None):
            raise FieldError("policy", "has bounds of its own: leave out min_replicas and max_replicas")
        if self.policy is not None and self.policy.schedule:
            raise FieldError("policy", "must not have a schedule of its own")
        for name, least in (("min_replicas", 0), ("max_replicas", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise FieldError(name, f"must be at least {least}, found {value}")
        if self.lead_s != "measured" and (isinstance(self.lead_s, str) or not 0 <= self.lead_s <= LONGEST_LEAD_S):
            found = self.lead_s if isinstance(self.lead_s, str) else f"{self.lead_s:g}"
            raise FieldError("lead_s", f"must be from 0 to {LONGEST_LEAD_S:g}, or measured, found {found}")

    @property
    def hours(self) -> Hours:
        """The one of the three that is given."""
        hours = self.calendar or self.weekly or self.cron
        assert hours is not None
        return hours

    @property
    def floor(self) -> int | None:
        """The floor while it is open; None where it leaves the floor alone."""
        return self.policy.min_replicas if self.policy else self.min_replicas


_NUMBERS = tuple(spec.name for spec in fields(AutoscalingPolicy) if spec.name not in ("slo", "schedule"))
_POSITIVE = (
    "max_replicas",
    "target_ongoing_requests",
    "smoothing_factor",
    "upscaling_factor",
    "downscaling_factor",
    "look_back_period_s",
)


def _check_window(path: str, window: Window, policy: AutoscalingPolicy) -> None:
    ceiling, floor = policy.max_replicas, policy.min_replicas
    lowered = ceiling if window.max_replicas is None else window.max_replicas
    if window.min_replicas is not None and window.min_replicas > lowered:
        raise FieldError(
            f"{path}.min_replicas", f"must be at most max_replicas ({lowered}), found {window.min_replicas}"
        )
    if window.max_replicas is not None and not floor <= window.max_replicas <= ceiling:
        bounds = f"from min_replicas ({floor}) to max_replicas ({ceiling})"
        raise FieldError(f"{path}.max_replicas", f"must be {bounds}, found {window.max_replicas}")


def market_hours(
    exchange: str,
    *,
    start: str | None = None,
    end: str | None = None,
    timezone: str | None = None,
    policy: AutoscalingPolicy | None = None,
    min_replicas: int | None = None,
    max_replicas: int | None = None,
    lead_s: float | Literal["measured"] = 0.0,
    name: str = "market-hours",
) -> Window:
    """A window on an exchange's trading days: the exchange's own hours, or other local times on those days."""
    hours = TradingHours(exchange=exchange, start=start, end=end, timezone=timezone)
    return Window(
        name=name, calendar=hours, policy=policy, min_replicas=min_replicas, max_replicas=max_replicas, lead_s=lead_s
    )
