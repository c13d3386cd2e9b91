"""What Prometheus reads of a Ray cluster, and by what it tells that the head's dashboard is lost. Pure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from finsight_serve.domain import Alert, ScrapeJob

HEARTBEAT = "ray_dashboard_event_loop_tasks"
"""A gauge that the dashboard's process alone exports, and sets anew every few seconds."""
REQUESTS = "ray_dashboard_api_requests_duration_seconds_count"
"""A counter of the same process, which Prometheus' own discovery raises. One that was restarted may have another
address and another session's name, so it is summed before it is looked at."""
EACH = "by (stack, backend)"

ALERTS = (
    Alert(
        "RayDashboardHeartbeatLost",
        f"group {EACH} (last_over_time({HEARTBEAT}[1d])) unless group {EACH} ({HEARTBEAT})",
        60,
        "critical",
        "Ray's dashboard on backend {{ $labels.backend }} exports nothing any more",
        "The head is gone, or its dashboard is: replicas may serve on, but nothing can be deployed or observed.",
        "head-lost",
    ),
    Alert(
        "RayHeadRestarted",
        f"resets((sum {EACH} ({REQUESTS}))[15m:15s]) > 0",
        0,
        "warning",
        "Ray's head on backend {{ $labels.backend }}, or its dashboard, was restarted within the last 15 minutes",
        "One that is back within a minute is not missed by its heartbeat: find out why it ended before it does again.",
        "head-lost",
    ),
)


def scrape_jobs(url: str, token_file: Path | None) -> Iterator[ScrapeJob]:
    """By Ray's own discovery: every node's agent and the dashboard. None while the dashboard's port is not known."""
    if urlsplit(url).port == 0:
        return
    discovery: dict[str, Any] = {"url": f"{url}/api/prometheus/sd", "refresh_interval": "15s"}
    if token_file is not None:
        # the type is said, since Prometheus has no default for it in a discovery, at least in 2.42
        discovery["authorization"] = {"type": "Bearer", "credentials_file": str(token_file)}
    yield ScrapeJob("ray", {"http_sd_configs": [discovery]})
