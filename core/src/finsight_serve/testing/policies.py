"""Policies of all kinds for property tests, and which of them mean the same."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from ..domain import AutoscalingPolicy, CronHours, WeeklyHours, Window
from ..domain.policy import SignalLoss

_bounds = st.integers(0, 3).flatmap(lambda low: st.tuples(st.just(low), st.integers(max(low, 1), low + 3)))
_lost: st.SearchStrategy[SignalLoss] = st.sampled_from(["hold", "floor"])
_amounts = st.sampled_from([0.5, 1.0, 2.0, 7.0, 30.0, 120.0])
_hours: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"weekly": WeeklyHours(start="09:00", end="16:00", timezone="America/New_York", days=("mon", "fri"))},
        {"weekly": WeeklyHours(start="22:00", end="06:00", timezone="Asia/Tokyo")},
        {"cron": CronHours(start="0 8 * * 1-5", end="30 17 * * 1-5", timezone="Europe/London")},
    ]
)


@st.composite
def _windows(draw: st.DrawFn, low: int, high: int) -> Window:
    count = draw(st.integers(max(low, 1), high))
    holds: Any = draw(
        st.sampled_from(
            [
                {"min_replicas": count},
                {"max_replicas": count},
                {"policy": AutoscalingPolicy(min_replicas=count, max_replicas=high, target_ongoing_requests=3)},
            ]
        )
    )
    return Window(**draw(_hours), **holds, lead_s=draw(st.sampled_from([0.0, 90.0])))


@st.composite
def _policies(draw: st.DrawFn) -> AutoscalingPolicy:
    low, high = draw(_bounds)
    return AutoscalingPolicy(
        min_replicas=low,
        max_replicas=high,
        target_ongoing_requests=draw(_amounts),
        upscale_delay_s=draw(_amounts),
        downscale_delay_s=draw(_amounts),
        smoothing_factor=draw(_amounts),
        upscaling_factor=draw(st.none() | _amounts),
        downscaling_factor=draw(st.none() | _amounts),
        look_back_period_s=draw(_amounts),
        initial_replicas=draw(st.none() | st.integers(low, high)),
        on_signal_loss=draw(_lost | st.integers(low, high)),
        schedule=draw(st.just(()) | st.tuples(_windows(low, high))),
    )


policies: st.SearchStrategy[AutoscalingPolicy] = _policies()
"""Small ones, whose fields differ often. Some carry a schedule, as in an export."""


def meaning(policy: AutoscalingPolicy) -> AutoscalingPolicy:
    """The same for policies that say the same in other words: a factor left out, a floor by its number."""
    floor = policy.min_replicas
    return replace(
        policy,
        smoothing_factor=1.0,
        upscaling_factor=policy.up_factor,
        downscaling_factor=policy.down_factor,
        initial_replicas=floor if policy.initial_replicas is None else policy.initial_replicas,
        on_signal_loss=floor if policy.on_signal_loss == "floor" else policy.on_signal_loss,
    )
