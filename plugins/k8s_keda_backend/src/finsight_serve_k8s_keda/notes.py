"""How a deployment's autoscaler is, in a line for people, as KEDA, the HPA and the Deployment say themselves. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .kinds import Json
from .reasons import clipped

REMOTE = " desc = "
"""What follows is what KEDA itself said; before it, who asked whom for what."""
SUFFIXES: Mapping[str, float] = {"m": 1e-3, "k": 1e3, "M": 1e6}


@dataclass(frozen=True, slots=True)
class Scaling:
    """A ScaledObject."""

    min_replicas: int
    max_replicas: int
    ready: str  # "True", "False", "Unknown"; "" before KEDA has looked at it
    trouble: str  # why it isn't ready
    is_paused: bool
    is_in_fallback: bool


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler."""

    name: str
    target: str  # the Deployment
    is_kedas: bool
    current: int
    desired: int
    load: str  # per replica, as it averages it
    goal: str
    trouble: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """A Deployment's own words."""

    replicas: int
    trouble: str  # why its pods can't be made


def read_scaling(body: Json) -> Scaling:
    conditions = _conditions(body)
    ready = conditions.get("Ready", {})
    return Scaling(
        body["spec"].get("minReplicaCount", 0),
        body["spec"].get("maxReplicaCount", 100),
        ready.get("status", ""),
        clipped(ready.get("message", "")),
        conditions.get("Paused", {}).get("status") == "True",
        conditions.get("Fallback", {}).get("status") == "True",
    )


def read_autoscaler(body: Json) -> Autoscaler | None:
    target, status = body["spec"]["scaleTargetRef"], body.get("status") or {}
    if target.get("kind") != "Deployment":
        return None
    load, goal = _load(body)
    return Autoscaler(
        body["metadata"]["name"],
        target["name"],
        any(owner.get("kind") == "ScaledObject" for owner in body["metadata"].get("ownerReferences") or ()),
        status.get("currentReplicas") or 0,
        status.get("desiredReplicas") or 0,
        load,
        goal,
        next(_troubles(_conditions(body)), ""),
    )


def read_rollout(body: Json) -> Rollout:
    conditions = _conditions(body)
    refused = conditions.get("ReplicaFailure", {})
    trouble = refused.get("message", "") if refused.get("status") == "True" else ""
    return Rollout((body.get("status") or {}).get("replicas", 0), clipped(trouble))


def note(scaling: Scaling | None, autoscalers: Iterable[Autoscaler], rollout: Rollout | None) -> str:
    """ "KEDA ready; 3 of 1-4 replicas, wants 4; load 12.5 per replica, target 10" """
    others = [one for one in autoscalers if not one.is_kedas]
    kedas = next((one for one in autoscalers if one.is_kedas), None)
    parts = [*_keda(scaling), *_count(scaling, kedas, rollout)]
    if kedas is not None:
        parts += [f"load {kedas.load} per replica, target {kedas.goal}"] if kedas.load else []
        parts += [f"its autoscaler: {kedas.trouble}"] if kedas.trouble else []
    if rollout is not None and rollout.trouble:
        parts.append(f"pods are refused: {rollout.trouble}")
    parts += [f"HorizontalPodAutoscaler {one.name} scales it too: delete it" for one in others]
    return "; ".join(parts)


def _keda(scaling: Scaling | None) -> Iterator[str]:
    if scaling is None:
        yield "no ScaledObject"
        return
    match scaling.ready:
        case "True":
            yield "KEDA ready"
        case "" | "Unknown":
            yield "KEDA has not looked at it yet"
        case _:
            yield f"KEDA not ready: {scaling.trouble}"
    if scaling.is_paused:
        yield "paused"
    if scaling.is_in_fallback:
        yield "the signal is lost, so its fallback is in force"


def _count(scaling: Scaling | None, kedas: Autoscaler | None, rollout: Rollout | None) -> Iterator[str]:
    if scaling is None or rollout is None:
        return
    wants = kedas.desired if kedas is not None else rollout.replicas
    more = f", wants {wants}" if wants not in (0, rollout.replicas) else ""  # KEDA alone leaves and goes to zero
    yield f"{rollout.replicas} of {scaling.min_replicas}-{scaling.max_replicas} replicas{more}"


def _conditions(body: Json) -> Mapping[str, Mapping[str, Any]]:
    return {condition["type"]: condition for condition in (body.get("status") or {}).get("conditions") or ()}


def _troubles(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name in ("AbleToScale", "ScalingActive"):
        found = conditions.get(name, {})
        if found.get("status") == "False" and found.get("reason") != "ScalingDisabled":  # that is zero replicas
            message = str(found.get("message")).rpartition(REMOTE)[2]
            yield clipped(f"{found.get('reason')}: {message}")


def _load(body: Json) -> tuple[str, str]:
    """Of the first metric: the queue, or what the formula makes of it and the floors."""
    for current in (body.get("status") or {}).get("currentMetrics") or ():
        found = current.get("external") or {}
        name = (found.get("metric") or {}).get("name")
        value = (found.get("current") or {}).get("averageValue")
        for metric in body["spec"].get("metrics") or ():
            wanted = metric.get("external") or {}
            if value is not None and name is not None and (wanted.get("metric") or {}).get("name") == name:
                return _number(value), _number((wanted.get("target") or {}).get("averageValue", "0"))
    return "", ""


def _number(quantity: str) -> str:
    factor = SUFFIXES.get(quantity[-1:], 1.0)
    digits = quantity[:-1] if quantity[-1:] in SUFFIXES else quantity
    return f"{float(digits) * factor:.4g}"
