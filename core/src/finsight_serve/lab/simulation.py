"""One policy over one trace, through a backend's control loop as it really is."""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from ..domain import AutoscalingPolicy
from ..errors import UserError
from ..plugin import ControlLoop
from ..schedule import cut_overs, policy_at
from .extra import load
from .outcome import Outcome, Run, Series, sum_up
from .service import ServiceModel
from .trace import Span, Trace

if TYPE_CHECKING:
    from .queue import Queue

TICKS_BETWEEN_WORDS = 8192

Tell = Callable[[float], None]
Flat = tuple[AutoscalingPolicy, float]
"""What holds, and until when, seconds after the trace's start."""


def simulate(
    policy: AutoscalingPolicy,
    trace: Trace,
    loop: ControlLoop,
    service: ServiceModel,
    *,
    lost: Sequence[Span] = (),
    on_progress: Tell | None = None,
) -> Outcome:
    """Each of the trace's spans by itself: a fresh loop, with the replicas of its first moment ready.

    `loop` is copied, never changed. Where its attribute `settled` is true, `step` would answer the same for ever as
    long as it is asked the same, so ticks at which nothing can have changed are passed over. `lost`: stretches without
    a signal, in seconds after the trace's start. `on_progress` gets the share that is done, now and then.
    Raises `UserError`.
    """
    np = load("numpy")
    load("numba")
    if policy.schedule and not trace.anchored:
        raise UserError(f"{trace.name}: the policy has windows, so say on which date the trace starts: --starts")
    from .queue import Queue

    times_s, done_s = service.times_s(trace), 0.0
    runs = []
    for span in trace.spans:
        low, high = np.searchsorted(trace.arrival_s, span)
        own_s = times_s if len(times_s) == 1 else times_s[low:high]
        flats = list(flat_policies(policy, span, trace.start_s, service.cold_start_s))
        queue = Queue(trace.arrival_s[low:high], own_s, service, now_s=span[0], ready=first_replicas(flats[0][0]))
        tell = _share(on_progress, done_s, trace.length_s)
        runs.append(_run(queue, span, trace.start_s, iter(flats), deepcopy(loop), lost, tell))
        done_s += span[1] - span[0]
    return sum_up(runs)


def first_replicas(policy: AutoscalingPolicy) -> int:
    return policy.min_replicas if policy.initial_replicas is None else policy.initial_replicas


def flat_policies(policy: AutoscalingPolicy, span: Span, epoch_s: float, cold_start_s: float) -> Iterator[Flat]:
    """Those that hold in `span`, one after the other."""
    from_s, to_s = epoch_s + span[0], epoch_s + span[1]
    held = policy_at(policy, from_s, cold_start_s)
    for change in cut_overs(policy, from_s, to_s, cold_start_s):
        yield held, change.at_s - epoch_s
        held = change.after
    yield held, math.inf


def _run(
    queue: "Queue",
    span: Span,
    epoch_s: float,
    flats: Iterator[Flat],
    loop: ControlLoop,
    lost: Sequence[Span],
    tell: Tell,
) -> Run:
    start_s, end_s = span
    period_s, may_settle = loop.period_s, hasattr(loop, "settled") and not lost
    policy, until_s = next(flats)
    target = queue.have
    targets, before = [(start_s, target)], (-1, -1, -1)
    times_s, ready, wants, ongoing = array("d"), array("i"), array("i"), array("i")
    tick, ticks, next_word = 0, math.ceil((end_s - start_s) / period_s), TICKS_BETWEEN_WORDS
    while tick < ticks:
        now_s = start_s + tick * period_s
        if queue.next_event_s < now_s:
            queue.advance(now_s)
        while now_s >= until_s:
            policy, until_s = next(flats)
        signal = None if lost and _is_in(lost, now_s) else queue.ongoing
        wanted = loop.step(policy, epoch_s + now_s, signal, queue.ready, target)
        if wanted != target:
            target = wanted
            targets.append((now_s, target))
            queue.scale(target, now_s)
        found = (queue.ready, target, queue.ongoing)
        if found != before:
            before = found
            times_s.append(now_s)
            ready.append(found[0])
            wants.append(target)
            ongoing.append(found[2])
        tick += 1
        if may_settle and loop.settled:  # type: ignore[attr-defined]
            # what happens at a tick's very moment counts at the next one
            event = min(math.floor((min(queue.next_event_s, end_s) - start_s) / period_s) + 1, ticks)
            change = ticks if until_s >= end_s else math.ceil((until_s - start_s) / period_s)
            tick = max(tick, min(event, change))
        if tick >= next_word:
            next_word = tick + TICKS_BETWEEN_WORDS
            tell(now_s - start_s)
    queue.advance(end_s)
    return Run(span, queue, queue.finish(end_s), targets, _series(times_s, ready, wants, ongoing))


def _series(times_s: "array[float]", *counts: "array[int]") -> Series:
    import numpy as np

    return Series(np.array(times_s), *(np.array(one, dtype=np.int32) for one in counts))


def _is_in(spans: Sequence[Span], now_s: float) -> bool:
    return any(start_s <= now_s < end_s for start_s, end_s in spans)


def _share(on_progress: Tell | None, before_s: float, length_s: float) -> Tell:
    def tell(done_s: float) -> None:
        if on_progress is not None:
            on_progress((before_s + done_s) / length_s)

    return tell
