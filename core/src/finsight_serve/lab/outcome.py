"""What a policy would have cost, and what users would have waited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .queue import Queue
    from .trace import Array, Span

OSCILLATION_S = 600.0
"""A change of the target against the one before it is an oscillation if it comes within this."""


@dataclass(frozen=True, eq=False)
class Series:
    """Arrays of one length: what stood from each time until the next. A row for each tick that changed something."""

    t_s: "Array"
    """float64, seconds after the trace's start."""
    ready: "Array"
    """int32, replicas that serve."""
    target: "Array"
    """int32, replicas decided on."""
    ongoing: "Array"
    """int32, requests running and waiting."""


@dataclass(frozen=True, eq=False)
class Run:
    """One stretch of a trace."""

    span: "Span"
    queue: "Queue"
    paid_s: float
    """Replica-seconds."""
    targets: "Sequence[tuple[float, int]]"
    """Each change of the target and when; the first is what stood at the start."""
    series: Series


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of the seconds that were simulated. Waits: from a request's arrival until work on it began, of those still
    waiting at the end until then; those shed have none."""

    replica_hours: float
    """Paid for: starting, ready and draining replicas."""
    p50_wait_s: float
    p95_wait_s: float
    p99_wait_s: float
    max_wait_s: float
    requests: int
    served: int
    """Begun."""
    shed: int
    """Found the queue full."""
    waiting: int
    """Not begun when the trace ended."""
    oscillations: int
    """Changes of the target against the last one, within `OSCILLATION_S` of it."""
    changes: int
    """Changes of the target."""
    hours: float
    """Simulated."""
    series: Series
    wait_s: "Array"
    """float32, one per request in order of arrival; -1 where it was shed."""
    spans: "tuple[Span, ...]"


def sum_up(runs: Sequence[Run]) -> Outcome:
    import numpy as np

    waits = [_waits(run) for run in runs]
    wait_s = np.concatenate(waits) if len(waits) > 1 else waits[0]
    counted = wait_s[wait_s >= 0] if any(run.queue.shed for run in runs) else wait_s
    p50, p95, p99, most = np.percentile(counted, (50, 95, 99, 100)).tolist() if len(counted) else (0.0,) * 4
    series = Series(
        *(np.concatenate([getattr(run.series, name) for run in runs]) for name in ("t_s", "ready", "target", "ongoing"))
    )
    return Outcome(
        replica_hours=sum(run.paid_s for run in runs) / 3600,
        p50_wait_s=p50,
        p95_wait_s=p95,
        p99_wait_s=p99,
        max_wait_s=most,
        requests=len(wait_s),
        served=sum(run.queue.begun for run in runs),
        shed=sum(run.queue.shed for run in runs),
        waiting=sum(run.queue.waiting for run in runs),
        oscillations=sum(oscillations(run.targets) for run in runs),
        changes=sum(len(run.targets) - 1 for run in runs),
        hours=sum(run.span[1] - run.span[0] for run in runs) / 3600,
        series=series,
        wait_s=wait_s,
        spans=tuple(run.span for run in runs),
    )


def oscillations(targets: Sequence[tuple[float, int]]) -> int:
    """Of a list of times and targets, each different from the one before."""
    found = 0
    for (_, first), (turned_s, second), (back_s, third) in zip(targets, targets[1:], targets[2:], strict=False):
        if (second - first) * (third - second) < 0 and back_s - turned_s <= OSCILLATION_S:
            found += 1
    return found


def agreement(first: Outcome, second: Outcome) -> float:
    """The share of seconds in which both want as many replicas. Both are of one trace."""
    import numpy as np

    same_s = 0.0
    for span in first.spans:
        edges = np.union1d(_within(first.series.t_s, span), _within(second.series.t_s, span))
        lengths_s = np.diff(edges, append=span[1])
        equal = _at(first.series, edges) == _at(second.series, edges)
        same_s += float(lengths_s[equal].sum())
    return same_s / sum(end_s - start_s for start_s, end_s in first.spans)


def _within(t_s: "Array", span: "Span") -> "Array":
    return t_s[(t_s >= span[0]) & (t_s < span[1])]


def _at(series: Series, t_s: "Array") -> "Array":
    import numpy as np

    return series.target[np.searchsorted(series.t_s, t_s, side="right") - 1]


def _waits(run: Run) -> "Array":
    """The queue's, with those that have not begun waiting until the end."""
    wait_s = run.queue.wait_s
    if run.queue.waiting:
        pending = wait_s < -1.5
        wait_s[pending] = run.span[1] - run.queue.arrival_s[pending]
    return wait_s
