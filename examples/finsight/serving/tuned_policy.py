"""The policy that `fs policy tune` found for the reference load, on other days than it is judged on: docs/policy.md."""

from dataclasses import replace

from finsight_serve.policy import ServiceLevel

from .policy import DEFAULT

TUNED = replace(
    DEFAULT,
    target_ongoing_requests=20,
    upscale_delay_s=1,
    downscale_delay_s=285,
    upscaling_factor=0.595,
    downscaling_factor=0.406,
    look_back_period_s=1.43,
    slo=ServiceLevel(p99_wait_s=1.0),
)
