"""What a replica can do, as measured."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..domain import FieldError

if TYPE_CHECKING:
    from .trace import Array, Trace


@dataclass(frozen=True, kw_only=True)
class ServiceModel:
    """How long requests take, how many at a time. Raises `FieldError`.

    A request takes as long however many are in work beside it: `service_s` is measured at the concurrency that a
    replica is run at. A trace that knows how long its requests took is taken at its word.
    """

    service_s: float = 5.0
    """Seconds of work per request, where neither the trace nor `token_s` says how long."""
    token_s: float | None = None
    """Seconds per output token; with it, a request of a trace that counts tokens takes prefill_s + tokens x token_s."""
    prefill_s: float = 0.0
    """Seconds to the first token."""
    max_concurrency: int = 16
    """Requests that a replica works on at a time; others wait."""
    cold_start_s: float = 60.0
    """From a replica's start until it serves."""
    max_queued: int | None = None
    """Requests that may wait at a time; others are shed. None: any number."""

    def __post_init__(self) -> None:
        for name in ("service_s", "token_s", "prefill_s", "cold_start_s", "max_queued"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1e9:
                raise FieldError(name, f"must be at least 0, found {value:g}")
        if self.service_s == 0:
            raise FieldError("service_s", "must be greater than 0, found 0")
        if self.max_concurrency < 1:
            raise FieldError("max_concurrency", f"must be at least 1, found {self.max_concurrency}")

    def times_s(self, trace: "Trace") -> "Array":
        """float32, a time per request; one element where all take the same."""
        import numpy as np

        if trace.service_s is not None:
            return trace.service_s
        if self.token_s is not None and trace.output_tokens is not None:
            return (self.prefill_s + self.token_s * trace.output_tokens).astype(np.float32)
        return np.array([self.service_s], dtype=np.float32)
