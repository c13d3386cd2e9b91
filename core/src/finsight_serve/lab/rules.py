"""Couplings between a policy's numbers that look wrong, told from the numbers alone. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..domain import AutoscalingPolicy
from ..schedule import window_label

Severity = Literal["error", "warning", "info"]
BUSY_SHARE, BUSY_HOURS = 0.8, 7.0
"""Where only a number a day is known: how much of it comes in market hours (the reference clients have 64-99 %)."""
ASSUMED_PER_DAY = (500, 1000)
"""Requests a day that one replica is planned to do at its p99 target until it is measured."""


TARGET_SHARE = 1.25
"""A target may be a little above what a replica works on at a time: more replicas are wanted once some wait."""


@dataclass(frozen=True)
class Finding:
    severity: Severity
    field: str
    what: str
    evidence: str = ""


@dataclass(frozen=True)
class Demand:
    """What is asked of all replicas together."""

    per_day: float  # on the busiest day
    peak_rps: float  # on average over the busiest minutes
    where: str  # where the figures come from


def check_numbers(
    policy: AutoscalingPolicy, *, cold_start_s: float | None, max_concurrency: int | None
) -> Iterator[Finding]:
    """`cold_start_s` and `max_concurrency` of one replica, where they were measured; in the windows' policies too."""
    for path, numbers in with_windows(policy):
        yield from (
            Finding(one.severity, path + one.field, one.what, one.evidence)
            for one in _check_flat(numbers, cold_start_s, max_concurrency)
        )
    yield from _check_windows(policy, cold_start_s)


def with_windows(policy: AutoscalingPolicy) -> Iterator[tuple[str, AutoscalingPolicy]]:
    """The policy and those that its windows name, with their dotted paths."""
    yield "", policy
    for index, window in enumerate(policy.schedule):
        if window.policy is not None:
            yield f"schedule.{index}.policy.", window.policy


def _check_flat(
    policy: AutoscalingPolicy, cold_start_s: float | None, max_concurrency: int | None
) -> Iterator[Finding]:
    fixed = policy.min_replicas == policy.max_replicas
    if fixed:
        return
    if cold_start_s:
        if policy.upscale_delay_s < cold_start_s and policy.up_factor >= 1:
            yield Finding(
                "info",
                "upscale_delay_s",
                f"is shorter than the cold start ({cold_start_s:g} s), and the factor of steps up is "
                f"{policy.up_factor:g}: more are ordered while the first ones still start",
            )
        if policy.downscale_delay_s < cold_start_s:
            yield Finding(
                "warning",
                "downscale_delay_s",
                f"is shorter than the cold start ({cold_start_s:g} s): a replica is given up in a lull "
                "shorter than the time it takes to come back",
            )
    if policy.look_back_period_s > policy.upscale_delay_s:
        yield Finding(
            "info",
            "look_back_period_s",
            f"is longer than upscale_delay_s ({policy.upscale_delay_s:g} s): a step in load is seen whole only after "
            f"{policy.look_back_period_s:g} s, so the shorter delay gains little",
        )
    if policy.downscale_delay_s < policy.upscale_delay_s:
        yield Finding(
            "warning",
            "downscale_delay_s",
            f"is shorter than upscale_delay_s ({policy.upscale_delay_s:g} s): capacity is given up faster than taken",
        )
    if max_concurrency is not None and policy.target_ongoing_requests > TARGET_SHARE * max_concurrency:
        yield Finding(
            "warning",
            "target_ongoing_requests",
            f"is more than the {max_concurrency} that one replica works on at a time: requests queue before more "
            "replicas are wanted",
            f"{policy.target_ongoing_requests - max_concurrency:g} of {policy.target_ongoing_requests:g} wait by plan",
        )
    if policy.min_replicas == 0:
        took = f" ({cold_start_s:g} s)" if cold_start_s else ""
        yield Finding(
            "warning",
            "min_replicas",
            f"is 0: the first request after a lull waits out a cold start{took}, and a backend that counts requests "
            "at its replicas sees none to wake up for",
        )


def _check_windows(policy: AutoscalingPolicy, cold_start_s: float | None) -> Iterator[Finding]:
    for index, window in enumerate(policy.schedule):
        raises = window.floor is not None and window.floor > policy.min_replicas
        if raises and window.lead_s == 0 and cold_start_s:
            yield Finding(
                "warning",
                f"schedule.{index}.lead_s",
                f"is 0: the floor of {window_label(window)} is ordered at its opening, ready {cold_start_s:g} s later",
                f"until then {policy.min_replicas} of {window.floor} replicas serve; with lead_s: measured, all do",
            )
        if raises and isinstance(window.lead_s, float | int) and cold_start_s and 0 < window.lead_s < cold_start_s:
            yield Finding(
                "warning",
                f"schedule.{index}.lead_s",
                f"is {window.lead_s:g} s, shorter than the cold start ({cold_start_s:g} s): the floor is late",
            )
        if window.policy is not None and window.policy.up_factor != policy.up_factor:
            yield Finding(
                "info",
                f"schedule.{index}.policy.smoothing_factor",
                f"steps up cover {window.policy.up_factor:g} of the distance while {window_label(window)} is open, "
                f"{policy.up_factor:g} otherwise: the delays were tuned for one of them",
            )


def check_capacity(policy: AutoscalingPolicy, demand: Demand | None, requests_per_s: float | None) -> Iterator[Finding]:
    """The capacity sum. `requests_per_s`: what one replica was measured to hold within its SLO; None if it wasn't."""
    if demand is None:
        return
    ceiling = policy.max_replicas
    if requests_per_s is None:
        few, many = (math.ceil(demand.per_day / each) for each in reversed(ASSUMED_PER_DAY))
        if many > ceiling:
            low, high = ASSUMED_PER_DAY
            yield Finding(
                "error" if few > ceiling else "warning",
                "max_replicas",
                f"is {ceiling}: {demand.per_day:,.0f} requests a day take {few} to {many} replicas, unless one is "
                f"measured to do more than {low} to {high} a day: fs bench capacity, then --service",
                f"{demand.where}; {ceiling} replicas do {ceiling * low:,} to {ceiling * high:,} a day",
            )
        return
    needed = math.ceil(demand.peak_rps / requests_per_s)
    if needed > ceiling:
        yield Finding(
            "error",
            "max_replicas",
            f"is {ceiling}: the peak takes {needed} replicas",
            f"{demand.peak_rps:.3g} requests/s ({demand.where}) against {requests_per_s:.3g} that one was measured to "
            f"hold, {ceiling * requests_per_s:.3g} that {ceiling} do",
        )
    else:
        yield Finding(
            "info",
            "max_replicas",
            f"is enough for the peak, which takes {max(1, needed)} of {ceiling} replicas",
            f"{demand.peak_rps:.3g} requests/s ({demand.where}) against {ceiling * requests_per_s:.3g}",
        )


def demand_of_day(per_day: float) -> Demand:
    """Where nothing but a number a day is known."""
    return Demand(
        per_day,
        per_day * BUSY_SHARE / (BUSY_HOURS * 3600),
        f"{per_day:,.0f} a day, {BUSY_SHARE:.0%} of it within {BUSY_HOURS:g} hours",
    )
