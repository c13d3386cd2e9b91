"""What a deployment's replica count should follow. Bounds, target and delays; no orchestrator's words."""

from dataclasses import dataclass, fields


class FieldError(ValueError):
    """A value that one field may not hold. `field` names it, so that a file's line can be found."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, kw_only=True)
class AutoscalingPolicy:
    """Replica bounds and how fast the count follows the load.

    Field names and meanings are Ray Serve's `AutoscalingConfig`. The decision they describe is
    `ceil(ready + smoothing_factor * (ongoing / target_ongoing_requests - ready))`, clamped to the bounds,
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
    look_back_period_s: float = 30.0
    """Over how long the ongoing requests are averaged."""
    initial_replicas: int | None = None
    """Replicas at the first start; min_replicas unless given."""

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is not None and value < 0:
                raise FieldError(spec.name, f"must be at least 0, found {value:g}")
        for name in ("max_replicas", "target_ongoing_requests", "smoothing_factor", "look_back_period_s"):
            if getattr(self, name) == 0:
                raise FieldError(name, "must be greater than 0, found 0")
        if self.max_replicas < self.min_replicas:
            raise FieldError(
                "max_replicas", f"must be at least min_replicas ({self.min_replicas}), found {self.max_replicas}"
            )
        if self.initial_replicas is not None and not self.min_replicas <= self.initial_replicas <= self.max_replicas:
            bounds = f"from min_replicas ({self.min_replicas}) to max_replicas ({self.max_replicas})"
            raise FieldError("initial_replicas", f"must be {bounds}, found {self.initial_replicas}")
