"""What couplings that look wrong do when they are run: on a burst made for the policy, or on recorded load."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..domain import AutoscalingPolicy
from ..plugin import ControlLoop
from .outcome import Outcome
from .rules import Demand, Finding, with_windows
from .service import ServiceModel
from .simulation import simulate
from .trace import DAY_S, Trace

QUIET_S, BURST_S, AFTER_S = 600.0, 1800.0, 3600.0
BURST_SHARE = 0.4  # of what max_replicas hold at their target
PEAK_WINDOW_S = 300.0
OSCILLATIONS_PER_DAY = 12.0
"""More than one every two hours, and replicas are started to be stopped again."""

CALM_DOWNSCALE_DELAY_S = AutoscalingPolicy().downscale_delay_s

Loops = Mapping[str, ControlLoop]
"""By the backend's name."""


@dataclass(frozen=True)
class Burst:
    """Half an hour of a steady rate between quiet times."""

    trace: Trace
    ongoing: float
    needed: int  # replicas that hold it at their target


def make_burst(policy: AutoscalingPolicy, service: ServiceModel, *, share: float = BURST_SHARE) -> Burst:
    """Worth `share` of what `max_replicas` hold at their target, or can work on, whichever is less; evenly spread."""
    import numpy as np

    each = min(policy.target_ongoing_requests, service.max_concurrency)
    ongoing = max(share * policy.max_replicas * each, 1.0)
    rate_rps = ongoing / service.service_s
    arrival_s = QUIET_S + np.arange(math.ceil(BURST_S * rate_rps)) / rate_rps
    span = (0.0, QUIET_S + BURST_S + AFTER_S)
    needed = math.ceil(ongoing / policy.target_ongoing_requests - 1e-9)
    return Burst(Trace("burst", arrival_s, 0.0, (span,)), ongoing, max(policy.min_replicas, needed))


def check_burst(policy: AutoscalingPolicy, loops: Loops, service: ServiceModel) -> Iterator[Finding]:
    """The policy's own numbers and those of its windows, each without the windows."""
    for path, numbers in with_windows(policy):
        flat = replace(numbers, schedule=(), slo=None)
        if flat.min_replicas == flat.max_replicas:
            continue
        for backend, loop in loops.items():
            for one in _check_burst(flat, loop, service):
                yield replace(one, field=path + one.field, evidence=f"{backend}: {one.evidence}")


def _check_burst(policy: AutoscalingPolicy, loop: ControlLoop, service: ServiceModel) -> Iterator[Finding]:
    burst = make_burst(policy, service)
    outcome = simulate(policy, burst.trace, loop, service)
    told = f"in a steady burst of {burst.ongoing:g} ongoing requests"
    if (peak := _peak(outcome)) > burst.needed:
        yield Finding(
            "warning" if peak > burst.needed + 1 else "info",
            "upscaling_factor" if policy.up_factor > 1 else "upscale_delay_s",
            *_overshoots(policy, loop, service, burst, peak, told),
        )
    if outcome.oscillations > 1:
        yield Finding("warning", "upscale_delay_s", *_oscillates(policy, loop, service, burst.trace, outcome, told))
    full = make_burst(policy, service, share=1.0)
    reached = _peak(simulate(policy, full.trace, loop, service))
    if reached < policy.max_replicas:
        yield Finding(
            "warning",
            "upscaling_factor",
            f"is {policy.up_factor:g}, and max_replicas is never reached: the distance that is left rounds to nothing",
            f"under a steady {full.ongoing:g} ongoing requests it stays at {reached} of {policy.max_replicas} replicas",
        )


def check_trace(policy: AutoscalingPolicy, loops: Loops, service: ServiceModel, trace: Trace) -> Iterator[Finding]:
    """The whole policy over recorded load: its promise, and whether it comes to rest."""
    for backend, loop in loops.items():
        outcome = simulate(policy, trace, loop, service)
        promised = policy.slo.p99_wait_s if policy.slo else None
        if promised is not None and outcome.p99_wait_s > promised:
            yield Finding(
                "error",
                "slo.p99_wait_s",
                f"is {promised:g} s, and the policy does not keep it",
                f"{backend}: p99 wait {outcome.p99_wait_s:.3g} s over {trace.name}, "
                f"at {outcome.replica_hours:.1f} replica-hours",
            )
        if outcome.shed:
            yield Finding(
                "warning",
                "max_replicas",
                "does not hold the load: requests are turned away",
                f"{backend}: {outcome.shed} of {outcome.requests} requests of {trace.name} found the queue full",
            )
        if outcome.oscillations * 24 / outcome.hours > OSCILLATIONS_PER_DAY:
            told = f"{backend}: over {trace.name}"
            yield Finding("warning", "upscale_delay_s", *_oscillates(policy, loop, service, trace, outcome, told))


def _overshoots(
    policy: AutoscalingPolicy, loop: ControlLoop, service: ServiceModel, burst: Burst, peak: int, told: str
) -> tuple[str, str]:
    """What is wrong, and the evidence with the calmer setting that helps most."""
    delay_s = max(2 * policy.upscale_delay_s, math.ceil(service.cold_start_s))
    calmer = {f"upscale_delay_s {delay_s:g}": replace(policy, upscale_delay_s=delay_s)}
    if policy.up_factor > 1:
        calmer["upscaling_factor 1"] = replace(policy, upscaling_factor=1.0)
        why = f"a factor of {policy.up_factor:g} goes beyond the count that the load wants"
    else:
        why = f"requests pile up while replicas start ({service.cold_start_s:g} s), and more are ordered for the pile"
    peaks = {name: _peak(simulate(one, burst.trace, loop, service)) for name, one in calmer.items()}
    name = min(peaks, key=lambda one: peaks[one])
    helps = f"; with {name}: {peaks[name]}" if peaks[name] < peak else ""
    return f"overshoots: {why}", f"{told} {peak} replicas were ordered, {burst.needed} hold it{helps}"


def _peak(outcome: Outcome) -> int:
    """The most replicas that were decided on."""
    return int(outcome.series.target.max())


def _oscillates(
    policy: AutoscalingPolicy, loop: ControlLoop, service: ServiceModel, trace: Trace, outcome: Outcome, told: str
) -> tuple[str, str]:
    """What is wrong, and the evidence with the calmer setting that helps most."""
    up_s, down_s = 2 * policy.upscale_delay_s, max(4 * policy.downscale_delay_s, CALM_DOWNSCALE_DELAY_S)
    calmer = {
        f"upscale_delay_s {up_s:g}": replace(policy, upscale_delay_s=up_s),
        f"downscale_delay_s {down_s:g}": replace(policy, downscale_delay_s=down_s),
        "smoothing_factor 0.5": replace(policy, smoothing_factor=0.5, upscaling_factor=None, downscaling_factor=None),
    }
    counts = {name: simulate(one, trace, loop, service).oscillations for name, one in calmer.items()}
    name = min(counts, key=lambda one: counts[one])
    helps = f"; with {name}: {counts[name]}" if counts[name] < outcome.oscillations else ""
    return (
        "does not go with target_ongoing_requests and downscale_delay_s: the count swings to and fro",
        f"{told} the count turned back within ten minutes {outcome.oscillations} times{helps}",
    )


def demand_of_trace(trace: Trace) -> Demand:
    """The busiest day's requests, and the busiest five minutes' rate."""
    import numpy as np

    days = np.bincount((trace.arrival_s // DAY_S).astype(np.int64))
    minutes = np.bincount((trace.arrival_s // PEAK_WINDOW_S).astype(np.int64))
    peak_rps = float(minutes.max()) / PEAK_WINDOW_S
    return Demand(float(days.max()), peak_rps, f"the busiest five minutes of {trace.name}")
