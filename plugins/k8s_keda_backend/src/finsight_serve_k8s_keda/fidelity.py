"""How truly KEDA and the HPA it makes follow each field of a policy. Pure.

The behaviour described is that of KEDA 2.21 and of Kubernetes 1.36.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import Grade

from .cron_windows import CronWindow
from .formula import needs_formula
from .options import Options
from .scaled_object import LONGEST_WINDOW_S, SYNC_S, stabilization_s

TOLERANCE = "an HPA leaves the count alone while the load is within 10 % of what the count is for"


def grade(
    policy: AutoscalingPolicy, windows: Sequence[CronWindow], unsaid: Sequence[str], options: Options
) -> Mapping[str, Grade]:
    """`windows` and `unsaid`: what cron says of a schedule, and what it can't."""
    grades = {
        "min_replicas": _min_replicas(policy, options),
        "max_replicas": Grade("exact", "as maxReplicaCount"),
        "target_ongoing_requests": _target(policy, options),
        "upscale_delay_s": _delay("lowest", policy.upscale_delay_s),
        "downscale_delay_s": _delay("highest", policy.downscale_delay_s),
        "smoothing_factor": _factor(policy.smoothing_factor, options),
        "upscaling_factor": _factor(policy.up_factor, options),
        "downscaling_factor": _factor(policy.down_factor, options),
        "look_back_period_s": _look_back(policy, options),
        "initial_replicas": _initial_replicas(policy),
        "on_signal_loss": _on_signal_loss(policy, windows),
    }
    return grades | ({"schedule": _schedule(windows, unsaid)} if policy.schedule else {})


def _min_replicas(policy: AutoscalingPolicy, options: Options) -> Grade:
    if policy.min_replicas:
        return Grade("exact", "as minReplicaCount")
    return Grade(
        "approximate",
        "KEDA takes the last replica away downscale_delay_s after the load was last seen, and starts one when the load "
        f"balancer has counted a request, up to {2 * options.scrape_interval_s} s later; until it is ready, requests "
        "are refused",
    )


def _target(policy: AutoscalingPolicy, options: Options) -> Grade:
    if Decimal(repr(policy.target_ongoing_requests)) * 1000 % 1:
        return Grade("approximate", "KEDA rounds it to thousandths")
    return Grade("exact", "as the threshold") if options.hpa_tolerance else Grade("approximate", TOLERANCE)


def _factor(factor: float, options: Options) -> Grade:
    if factor == 1:
        return Grade("exact", "an HPA goes the whole way")
    how = "by a formula over the replicas that are ready"
    return Grade("exact", how) if options.hpa_tolerance else Grade("approximate", f"{how}; {TOLERANCE}")


def _delay(which: str, delay_s: float) -> Grade:
    window_s = stabilization_s(delay_s)
    note = f"takes the {which} count wanted in the last {window_s} s, where Ray Serve takes the last one, and decides"
    note += f" every {SYNC_S} s, so up to {SYNC_S} s later"
    if delay_s > LONGEST_WINDOW_S:
        note += f"; {delay_s:g} s is longer than an HPA can wait"
    elif delay_s != window_s:
        note += f"; {delay_s:g} s is rounded up"
    return Grade("approximate", note)


def _look_back(policy: AutoscalingPolicy, options: Options) -> Grade:
    interval_s = options.scrape_interval_s
    if policy.look_back_period_s <= interval_s:
        return Grade("approximate", f"Prometheus knows the load every {interval_s} s, so only the last sample counts")
    return Grade("approximate", f"the mean of samples {interval_s} s apart, which may be {interval_s} s old")


def _initial_replicas(policy: AutoscalingPolicy) -> Grade:
    if policy.initial_replicas is None:
        return Grade("exact", "the HPA brings it to the floor at once")
    return Grade("impossible", "starts with one replica, which the HPA brings to the floor at once")


def _on_signal_loss(policy: AutoscalingPolicy, windows: Sequence[CronWindow]) -> Grade:
    seen = "one replica whose metrics alone are lost counts as idle"
    limits = [seen]
    if windows and needs_formula(policy):
        limits.append("and no window raises the floor meanwhile")
    if policy.on_signal_loss == "hold":
        if policy.min_replicas and len(limits) == 1:
            return Grade("exact", f"the count stays while no load is known at all; {seen}")
        if policy.min_replicas == 0:
            limits.append("and from 0 it may start one")
        return Grade("approximate", f"the count stays while no load is known at all; {', '.join(limits)}")
    late_s = 4 * SYNC_S
    return Grade(
        "approximate",
        f"after four failed queries, up to {late_s} s later, and then the delay of its direction; {', '.join(limits)}",
    )


def _schedule(windows: Sequence[CronWindow], unsaid: Sequence[str]) -> Grade:
    told = "; ".join(unsaid)
    if not windows:
        return Grade("impossible", f"no window raises the floor, and a cron trigger can do nothing else; {told}")
    how = f"floors by cron triggers, which act after upscale_delay_s, up to {SYNC_S} s late"
    return Grade("approximate", f"{how}; {told}" if told else how)
