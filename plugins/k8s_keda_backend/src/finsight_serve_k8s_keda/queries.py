"""What Prometheus is asked: a deployment's load, and how many of its replicas are ready. PromQL, one number each."""

from collections.abc import Mapping

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError

from .options import Options

LOAD = ("running", "waiting")
SCRAPES_OF_A_RATE = 4
"""An increase is seen only between two samples, and one scrape may fail."""
LATELY_S = 60
"""How long one refused request is known of, so that it is not missed by whoever asks now and then."""


def queue_query(name: str, signals: Mapping[str, str], policy: AutoscalingPolicy, options: Options) -> str:
    """Requests running and queued, averaged over the look-back. No series, no answer: KEDA then falls back.

    Where no replica may be left, the load balancer's count stands in while there is no engine to be asked: the requests
    that it has open, and one for all that it has lately refused, since a client that tries again is no more load.
    Raises `ApplyError` for an engine that does not say what its metrics are called.
    """
    missing = [signal for signal in LOAD if not signals.get(signal)]
    if missing:
        raise ApplyError(
            f"deployment {name!r}: its engine names no metric for {' and '.join(missing)} requests, "
            "and KEDA would have nothing to scale by: choose another engine"
        )
    total = " + ".join(f"sum({signals[signal]}{_pods(name, options)})" for signal in LOAD)
    if policy.min_replicas == 0:
        total = f"({total}) or ({_at_the_edge(name, policy, options)})"
    if policy.look_back_period_s <= options.scrape_interval_s:
        return total
    look_back = _duration(round(policy.look_back_period_s * 1000))
    return f"avg_over_time(({total})[{look_back}:{options.scrape_interval_s}s])"


def ready_query(name: str, signals: Mapping[str, str], policy: AutoscalingPolicy, options: Options) -> str:
    """How many replicas are ready, as kube-state-metrics says; where it isn't scraped, how many tell their load."""
    said = f'sum(kube_deployment_status_replicas_ready{{namespace="{options.namespace}",deployment="{name}"}})'
    counted = f"count(count by (pod) ({signals['running']}{_pods(name, options)}))"
    none = f" or 0 * sum(finsight_ongoing_requests{_edge(name, options)})" if policy.min_replicas == 0 else ""
    return f"{said} or {counted}{none}"


def _at_the_edge(name: str, policy: AutoscalingPolicy, options: Options) -> str:
    seconds = max(policy.look_back_period_s, SCRAPES_OF_A_RATE * options.scrape_interval_s, LATELY_S)
    refused = f"finsight_refused_requests_total{_edge(name, options)}[{_duration(round(seconds * 1000))}]"
    return f"sum(finsight_ongoing_requests{_edge(name, options)}) + (sum(increase({refused})) > bool 0)"


def _pods(name: str, options: Options) -> str:
    return f'{{namespace="{options.namespace}",pod=~"{name}-[0-9a-z]+-[0-9a-z]+"}}'


def _edge(name: str, options: Options) -> str:
    labels = {"deployment": name, **options.load_balancer_labels}
    return "{" + ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _duration(ms: int) -> str:
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"
