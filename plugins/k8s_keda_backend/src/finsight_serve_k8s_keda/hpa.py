"""How a HorizontalPodAutoscaler decides on one external metric of type AverageValue, as of Kubernetes 1.36. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

TOLERANCE = 0.1
"""The HPA controller's own; the share of the wanted load per replica within which the count is left alone."""
MILLI = 1000


@dataclass(frozen=True)
class Recommendation:
    """What the metric asked for at a time, before stabilization."""

    at_s: float
    replicas: int


def recommend(metric: float, target: float, pods: int, tolerance: float = TOLERANCE) -> int:
    """The pods that an external metric of type AverageValue asks for. `pods`: those there are, ready or not.

    Quantities travel in thousandths: KEDA cuts off what is smaller.
    """
    usage, each = int(metric * MILLI), round(target * MILLI)
    if pods and 1 - tolerance <= usage / (each * pods) <= 1 + tolerance:
        return pods
    return math.ceil(usage / each)


def stabilize(
    wanted: int, current: int, now_s: float, before: Iterable[Recommendation], up_window_s: float, down_window_s: float
) -> int:
    """Up to the least, down to the most of what was recommended within the window of the direction."""
    up = down = wanted
    for one in before:
        age_s = now_s - one.at_s
        if age_s < up_window_s:
            up = min(up, one.replicas)
        if age_s < down_window_s:
            down = max(down, one.replicas)
    return min(max(current, up), down)


def limit(wanted: int, current: int, least: int, most: int, added: int, removed: int, *, per_period: int) -> int:
    """To the bounds, and to a behavior policy of `per_period` pods, given what this period has already changed."""
    began_with = current - added + removed
    if wanted > current:
        return min(wanted, most, max(current, began_with + per_period))
    if wanted < current:
        return max(wanted, least, min(current, began_with - per_period))
    return wanted
