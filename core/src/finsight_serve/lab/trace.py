"""When requests came. A trace is anchored to a date and a zone, so that a schedule's windows mean something in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ..domain.hours import check_timezone
from ..errors import UserError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

DAY_S = 86400.0
MAX_REQUESTS = 20_000_000
"""A longer trace is refused: this many take some 2 GB."""
UNANCHORED = date(2026, 1, 5)  # a Monday; what a trace without a date starts on where no window asks for one

Span = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Trace:
    """Arrays of one length, a row per request, ordered by arrival. All times in seconds."""

    name: str
    arrival_s: "Array"
    """float64, after `start_s`."""
    start_s: float
    """UTC epoch seconds; local midnight of day 0."""
    spans: tuple[Span, ...]
    """The stretches that count, after `start_s`, ascending, apart from each other. Each is simulated by itself."""
    anchored: bool = True
    """Whether the date is the trace's own or was given, not taken for want of one."""
    tenant: "Array | None" = None
    """int16, index into `tenants`."""
    tenants: tuple[str, ...] = ()
    input_tokens: "Array | None" = None
    output_tokens: "Array | None" = None
    service_s: "Array | None" = None
    """float32, how long a replica worked on it."""

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def length_s(self) -> float:
        """The seconds that count."""
        return sum(end_s - start_s for start_s, end_s in self.spans)

    def columns(self, chosen: Any) -> dict[str, Any]:
        """Every column's `chosen` rows: a slice, a mask or indices."""
        found = {name: getattr(self, name) for name in COLUMNS}
        return {name: None if column is None else column[chosen] for name, column in found.items()}

    def select(self, days: Sequence[int]) -> "Trace":
        """Only these days, each where it is. A day is 86,400 s, counted from `start_s`. Raises `UserError`."""
        import numpy as np

        last_s = max(end_s for _, end_s in self.spans)
        for day in days:
            if day < 0 or day * DAY_S >= last_s:
                raise UserError(f"{self.name}: has no day {day}; the first is day 0")
        spans = spans_of(days)
        edges = np.searchsorted(self.arrival_s, np.array(spans))
        chosen = np.concatenate([np.arange(low, high) for low, high in edges])
        if not len(chosen):
            raise UserError(f"{self.name}: no request comes on day {', '.join(map(str, days))}")
        return replace(self, spans=spans, **self.columns(chosen))


def spans_of(days: Sequence[int]) -> tuple[Span, ...]:
    """Days that follow each other are one span."""
    spans: list[Span] = []
    for day in sorted(set(days)):
        start_s, end_s = day * DAY_S, (day + 1) * DAY_S
        if spans and spans[-1][1] == start_s:
            start_s = spans.pop()[0]
        spans.append((start_s, end_s))
    return tuple(spans)


COLUMNS = ("arrival_s", "tenant", "input_tokens", "output_tokens", "service_s")


def read_trace(
    path: Path,
    *,
    starts: str | None = None,
    timezone: str = "UTC",
    days: Sequence[int] | None = None,
    clients: Sequence[int] | None = None,
    per_client_per_day: float | None = None,
    seed: int = 0,
    max_requests: int = MAX_REQUESTS,
) -> Trace:
    """A CSV file of arrivals, of Azure's LLM inference traces, or of ServeGen's client rates, told by its header.

    Arrivals: `arrival_s` and, each optional, `tenant`, `input_tokens`, `output_tokens`, `service_s`. From 1e8 up,
    `arrival_s` is UTC epoch seconds; below, seconds after `starts`. Azure: `TIMESTAMP` (UTC), `ContextTokens`,
    `GeneratedTokens`. ServeGen: `client`, `t_s`, `rate_rps`, `cv`, `iat_dist`, `p1`, `p2`: arrivals are drawn.

    `starts` (YYYY-MM-DD) puts day 0 on another date, at midnight in `timezone`. `clients`, `per_client_per_day` and
    `seed` are for ServeGen. Raises `UserError`, which names the line.
    """
    from . import arrivals, servegen

    kind = arrivals.kind_of(path)
    if kind == "servegen":
        found = servegen.draw(path, days, clients, per_client_per_day, seed, max_requests)
        return replace(found, start_s=_midnight(starts, timezone), anchored=starts is not None)
    if clients is not None or per_client_per_day is not None:
        raise UserError(f"{path}: --clients and --per-client-per-day are for ServeGen's client rates, which it is not")
    read = arrivals.read(path, kind, max_requests)
    found = _anchor(read, starts, timezone)
    return found if days is None else found.select(days)


def _anchor(trace: Trace, starts: str | None, timezone: str) -> Trace:
    """With day 0's midnight as its start. `trace` has epoch seconds where it is anchored."""
    if not trace.anchored:
        return replace(trace, start_s=_midnight(starts, timezone), anchored=starts is not None)
    _check_zone(timezone)
    first = datetime.fromtimestamp(float(trace.arrival_s[0]), ZoneInfo(timezone)).date()
    midnight_s = _midnight(first.isoformat(), timezone)
    spans = tuple((start_s - midnight_s, end_s - midnight_s) for start_s, end_s in trace.spans)
    start_s = midnight_s if starts is None else _midnight(starts, timezone)
    return replace(trace, start_s=start_s, arrival_s=trace.arrival_s - midnight_s, spans=spans)


def _midnight(starts: str | None, timezone: str) -> float:
    _check_zone(timezone)
    try:
        day = date.fromisoformat(starts) if starts is not None else UNANCHORED
    except ValueError:
        raise UserError(f"--starts: must be a date as 2026-11-02, found {starts}") from None
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).timestamp()


def _check_zone(timezone: str) -> None:
    try:
        check_timezone(timezone)
    except ValueError as error:
        raise UserError(f"--{error}") from None
