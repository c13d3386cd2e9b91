"""What Prometheus is asked: a deployment's load, and how many of its replicas are ready. PromQL, one number each."""

from collections.abc import Mapping

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError

from .options import Options

LOAD = ("running", "waiting")


def queue_query(name: str, signals: Mapping[str, str], policy: AutoscalingPolicy, options: Options) -> str:
    """Requests running and queued, averaged over the look-back. No series, no answer: KEDA then falls back.

    Raises `ApplyError` for an engine that does not say what its metrics are called.
    """
    missing = [signal for signal in LOAD if not signals.get(signal)]
    if missing:
        raise ApplyError(
            f"deployment {name!r}: its engine names no metric for {' and '.join(missing)} requests, "
            "and KEDA would have nothing to scale by: choose another engine"
        )
    pods = f'{{namespace="{options.namespace}",pod=~"{name}-[0-9a-z]+-[0-9a-z]+"}}'
    total = " + ".join(f"sum({signals[signal]}{pods})" for signal in LOAD)
    if policy.min_replicas == 0:
        # with no pod there is no series, and that is no loss of signal as long as none is wanted
        total = f"({total}) or sum(kube_deployment_spec_replicas{_deployment(name, options)} == 0)"
    if policy.look_back_period_s <= options.scrape_interval_s:
        return total
    look_back = _duration(round(policy.look_back_period_s * 1000))
    return f"avg_over_time(({total})[{look_back}:{options.scrape_interval_s}s])"


def ready_query(name: str, options: Options) -> str:
    """How many replicas are ready, as kube-state-metrics says."""
    return f"sum(kube_deployment_status_replicas_ready{_deployment(name, options)})"


def _deployment(name: str, options: Options) -> str:
    return f'{{namespace="{options.namespace}",deployment="{name}"}}'


def _duration(ms: int) -> str:
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"
