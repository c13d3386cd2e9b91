"""Verdicts on replicas. Plugins neither count nor retry: they report one try, and this decides."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HealthRules:
    """When a replica is evicted. The defaults are the stock probe's: every 10 s, two failures in a row."""

    period_s: float = 10.0
    failures_before_eviction: int = 2
    max_evicting_share: float = 0.34  # of a deployment's replicas at the same time, but always at least one
