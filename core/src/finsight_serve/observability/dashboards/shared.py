"""Panels that stand on more than one dashboard. Their bounds are asked of the metrics that the alerts ask."""

from ...domain.dashboard import Panel, Query
from .. import metrics as m
from ..recording import QUANTILES, ttft
from .asking import DEPLOYMENT, of

_EACH = "on (stack, deployment)"
_READY = of(m.REPLICAS, DEPLOYMENT, state="ready")

READY = Panel(
    "Ready replicas, floor and ceiling",
    "count",
    (
        Query(_READY, "{{deployment}}"),
        Query(of(m.POLICY_MIN, DEPLOYMENT), "{{deployment}}: floor", is_bound=True),
        Query(of(m.POLICY_MAX, DEPLOYMENT), "{{deployment}}: ceiling", is_bound=True),
    ),
    "The floor is the one that holds now, raised by windows and by migrations.",
    alerts=("FinSightNoReplicaReady", "FinSightReplicasBelowFloor"),
)
QUEUE = Panel(
    "Waiting at each replica",
    "count",
    (
        Query(f"{of(m.WAITING, DEPLOYMENT)} / {_EACH} ({_READY} > 0)", "{{deployment}}"),
        Query(of(m.POLICY_TARGET, DEPLOYMENT), "{{deployment}}: target", is_bound=True),
    ),
    "Requests queued in the engines, by their own figures at the last probe.",
    alerts=("FinSightQueueDeep",),
)
PROBES = Panel(
    "Probes",
    "count",
    (Query(f"sum by (verdict) ({of(m.PROBED_REPLICAS, DEPLOYMENT)})", "{{verdict}}"),),
    "Ready replicas by the verdict of their last probe.",
    alerts=("FinSightProbeFailing",),
    stacked=True,
)
TTFT = Panel(
    "Time to the first byte",
    "seconds",
    (
        *(
            Query(of(ttft(quantile), DEPLOYMENT), f"{{{{deployment}}}}: p{round(quantile * 100)}")
            for quantile in QUANTILES
        ),
        Query(of(m.PROMISED_TTFT, DEPLOYMENT), "{{deployment}}: p99 promised", is_bound=True),
    ),
    "From a request's arrival to the first byte of its answer at the load balancer, over five minutes.",
    alerts=("FinSightTimeToFirstTokenHigh",),
)
