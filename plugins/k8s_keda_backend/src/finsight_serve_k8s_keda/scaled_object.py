"""The ScaledObject of a deployment (keda.sh/v1alpha1): KEDA makes a HorizontalPodAutoscaler of it. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import DeploymentSpec

from .cron_windows import CronWindow
from .formula import QUEUE, REPLICAS, decimal, formula, needs_formula, unit
from .options import Options
from .queries import queue_query, ready_query

SYNC_S = 15
"""How often an HPA decides (kube-controller-manager, --horizontal-pod-autoscaler-sync-period)."""
LONGEST_WINDOW_S = 3600
"""The longest stabilization window that the API server takes."""
FAILURES = 3
"""How many failed queries KEDA takes before it falls back; until then an HPA leaves the count alone."""

Json = dict[str, Any]


def scaled_object(
    spec: DeploymentSpec, windows: Sequence[CronWindow], labels: Mapping[str, str], options: Options
) -> Json:
    """`windows`: floors that cron raises, where no controller does. Raises `ApplyError`."""
    policy = spec.policy
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": spec.name, "namespace": options.namespace, "labels": dict(labels)},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec.name},
            "minReplicaCount": policy.min_replicas,
            "maxReplicaCount": policy.max_replicas,
            **_scale_to_zero(policy, options),
            "fallback": _fallback(policy),
            "advanced": {
                "horizontalPodAutoscalerConfig": {"behavior": _behavior(policy, options)},
                **_scaling_modifiers(policy, windows),
            },
            "triggers": _triggers(spec, windows, options),
        },
    }


def stabilization_s(delay_s: float) -> int:
    return min(math.ceil(delay_s), LONGEST_WINDOW_S)


def _scale_to_zero(policy: AutoscalingPolicy, options: Options) -> Json:
    """KEDA, not the HPA, takes the last replica away and starts the first. With a floor these would earn a warning."""
    if policy.min_replicas:
        return {}
    delay_s = math.ceil(policy.downscale_delay_s)
    # asking more often than Prometheus does would tell nothing new
    return {"pollingInterval": options.scrape_interval_s, "cooldownPeriod": delay_s, "initialCooldownPeriod": delay_s}


def _fallback(policy: AutoscalingPolicy) -> Json:
    lost = policy.on_signal_loss
    if lost == "hold":
        # the count is unused, but with 0 KEDA would take the last replica away at the first failure
        return {"behavior": "currentReplicas", "failureThreshold": FAILURES, "replicas": max(1, policy.min_replicas)}
    replicas = policy.min_replicas if lost == "floor" else lost
    return {"behavior": "static", "failureThreshold": FAILURES, "replicas": replicas}


def _behavior(policy: AutoscalingPolicy, options: Options) -> Json:
    return {
        "scaleUp": _rules(policy.upscale_delay_s, policy, options),
        "scaleDown": _rules(policy.downscale_delay_s, policy, options),
    }


def _rules(delay_s: float, policy: AutoscalingPolicy, options: Options) -> Json:
    rules: Json = {
        "stabilizationWindowSeconds": stabilization_s(delay_s),
        "selectPolicy": "Max",
        # as far as the bounds reach in one step
        "policies": [{"type": "Pods", "value": policy.max_replicas, "periodSeconds": SYNC_S}],
    }
    return rules | ({"tolerance": "0"} if options.hpa_tolerance else {})


def _scaling_modifiers(policy: AutoscalingPolicy, windows: Sequence[CronWindow]) -> Json:
    if not needs_formula(policy):
        return {}
    modifiers = {
        "formula": formula(policy, [window.name for window in windows]),
        "target": str(unit(policy)),
        "metricType": "AverageValue",
    }
    return {"scalingModifiers": modifiers}


def _triggers(spec: DeploymentSpec, windows: Sequence[CronWindow], options: Options) -> list[Json]:
    policy = spec.policy
    queue = queue_query(spec.name, spec.launch.signals, policy, options)
    triggers = [_prometheus(QUEUE, queue, policy.target_ongoing_requests, options)]
    if needs_formula(policy):
        ready = ready_query(spec.name, spec.launch.signals, policy, options)
        triggers.append(_prometheus(REPLICAS, ready, 1, options))
    return triggers + [_cron(window) for window in windows]


def _prometheus(name: str, query: str, threshold: float, options: Options) -> Json:
    return {
        "name": name,
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": options.prometheus,
            "query": query,
            "threshold": decimal(threshold),
            "ignoreNullValues": "false",  # else a lost metric would count as no load
        },
    }


def _cron(window: CronWindow) -> Json:
    return {
        "name": window.name,
        "type": "cron",
        "metricType": "AverageValue",
        "metadata": {
            "timezone": window.timezone,
            "start": window.start,
            "end": window.end,
            "desiredReplicas": str(window.replicas),
        },
    }
