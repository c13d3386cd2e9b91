"""What Prometheus is told to read and to watch for, as values: an alert, and a place to scrape."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Alert:
    """One alerting rule. Whoever gets it finds at `runbook` what to check, to do and to verify."""

    name: str  # CamelCase
    expr: str  # PromQL; each series of the answer is an alert
    for_s: int
    severity: Severity  # critical: wake somebody; warning: within the day
    summary: str  # one line; "{{ $labels.NAME }}" and "{{ $value }}" are filled in by Prometheus
    description: str
    runbook: str  # the heading's anchor


@dataclass(frozen=True)
class ScrapeJob:
    """An entry of `scrape_configs`. Labels that tell stack and backend apart are added by whoever renders it."""

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)  # in Prometheus' own words, but for `job_name`
