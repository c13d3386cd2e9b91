"""What `fs policy tune` found for the reference load, on other days than it is judged on: docs/policy.md."""

from dataclasses import replace

from finsight_serve.policy import ServiceLevel

from .policy import DEFAULT, MARKET_HOURS, PLATFORM

(_window,) = PLATFORM.schedule

TUNED = replace(
    PLATFORM,
    schedule=(
        replace(
            _window,
            policy=replace(
                MARKET_HOURS,
                target_ongoing_requests=19,
                upscale_delay_s=18,
                downscale_delay_s=436,
                upscaling_factor=1.26,
                downscaling_factor=0.78,
                look_back_period_s=48.8,
            ),
        ),
    ),
)
"""The record's floor of 2 in market hours, and fewer starts beyond it."""

TUNED_FLOOR_1 = replace(
    DEFAULT,
    target_ongoing_requests=20,
    upscale_delay_s=1,
    downscale_delay_s=285,
    upscaling_factor=0.595,
    downscaling_factor=0.406,
    look_back_period_s=1.43,
    slo=ServiceLevel(p99_wait_s=1.0),
)
"""Without a floor in market hours: a fifth cheaper, and a burst that comes before the second replica waits."""
