"""The same policy without Ray's classes, with its windows and with what users were promised.

fs.yaml names it as

    policy: serving.policy:PLATFORM

and every command that takes `--policy` takes `serving.policy:PLATFORM` too.
"""

from dataclasses import replace

from finsight_serve.policy import AutoscalingPolicy, ServiceLevel, market_hours

DEFAULT = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=10,
    upscale_delay_s=30,
    downscale_delay_s=300,
    smoothing_factor=0.5,
)

MARKET_HOURS = replace(DEFAULT, min_replicas=2, smoothing_factor=1.0)

PLATFORM = replace(
    DEFAULT,
    slo=ServiceLevel(p99_wait_s=1.0),
    schedule=(
        market_hours(
            "XNYS",
            start="09:00",
            end="16:00",
            timezone="America/New_York",
            policy=MARKET_HOURS,
            lead_s="measured",
        ),
    ),
)
