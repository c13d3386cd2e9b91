"""What Prometheus records of the metrics, so that alerts and dashboards ask for little. Names: level:metric:operation.

Errors are the requests that failed or broke off, of those that were let through. They are told of the whole endpoint,
since a request that no deployment took is nobody's; a deployment's own share is recorded beside.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .metrics import REQUESTS, TTFT, TURNED_AWAY, Metric

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""All that the alerts on the error budget look at."""
QUANTILES = (0.5, 0.95, 0.99)
BAD = 'outcome=~"failed|truncated"'
JUDGED = 'outcome=~"complete|failed|truncated"'
"""A client that hung up, and what nobody saw end, say nothing of the service."""
ERRORS, LET_THROUGH = "stack:finsight_requests_errors:rate5m", "stack:finsight_requests_let_through:rate5m"


@dataclass(frozen=True)
class Recording:
    name: str
    expr: str


def error_ratio(window: str) -> str:
    """The endpoint's, as it is recorded."""
    return f"stack:finsight_requests_errors:ratio_rate{window}"


def ttft(quantile: float) -> str:
    return f"deployment:finsight_time_to_first_token_seconds:p{round(quantile * 100)}_rate5m"


def recordings() -> Iterator[Recording]:
    """In the order in which they are evaluated: a long window is the mean of what was recorded of five minutes, so that
    three days of it cost the same with one tenant and with thousands."""
    yield Recording(ERRORS, _errors("stack"))
    yield Recording(LET_THROUGH, _let_through("stack"))
    for window in WINDOWS:
        bad, judged = (f"avg_over_time({name}[{window}])" for name in (ERRORS, LET_THROUGH))
        ratio = f"{ERRORS} / ({LET_THROUGH} > 0)" if window == "5m" else f"{bad} / ({judged} > 0)"
        yield Recording(error_ratio(window), ratio)
    each, some = "stack, deployment", 'deployment!=""'
    yield Recording(
        "deployment:finsight_requests_errors:ratio_rate5m", f"{_errors(each, some)} / ({_let_through(each, some)} > 0)"
    )
    for level in ("deployment", "tenant"):
        requests = _rate(REQUESTS, f"stack, {level}, outcome")
        yield Recording(f"{level}:finsight_requests:rate5m", requests)
    for quantile in QUANTILES:
        yield Recording(ttft(quantile), f"histogram_quantile({quantile}, {_rate(TTFT, 'stack, deployment, le')})")


def _errors(by: str, *where: str) -> str:
    return _rate(REQUESTS, by, *where, BAD)


def _let_through(by: str, *where: str) -> str:
    return f"{_rate(REQUESTS, by, *where, JUDGED)} - {_rate(TURNED_AWAY, by, *where)}"


def _rate(metric: Metric, by: str, *where: str) -> str:
    matchers = f"{{{','.join(where)}}}" if where else ""
    return f"sum by ({by}) (rate({metric.sample}{matchers}[5m]))"
