# serving/autoscaling_policy.py
from ray.serve.config import AutoscalingConfig

DEFAULT_AUTOSCALING = AutoscalingConfig(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=10,        # scale-up trigger
    upscale_delay_s=30,                # debounce against burst-induced flapping
    downscale_delay_s=300,             # 5min idle before scale-down (preserve warmth)
    smoothing_factor=0.5,              # dampens oscillation
)

# Market-hours override (cron-driven)
MARKET_HOURS_AUTOSCALING = AutoscalingConfig(
    min_replicas=2,                    # always-on during 9am-4pm ET
    max_replicas=4,
    target_ongoing_requests=10,
    upscale_delay_s=30,
    downscale_delay_s=300,
)
