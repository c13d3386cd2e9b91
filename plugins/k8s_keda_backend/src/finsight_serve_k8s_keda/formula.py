"""The gain as a formula of KEDA's: how far one step goes from the replicas that are ready. Pure.

An HPA wants `ceil(metric / target)` replicas. Ray Serve wants `ceil(x)`, with T requests in work and queued, t the
target for each replica, R replicas ready and f the factor of the direction:

    x = R + f * (T / t - R)

and one replica less where f < 1 holds a step down back that is due, `ceil(T / t) < R = ceil(x)`. That is to say: where
`T / t <= R - 1`, x is at most `R - 1`. So the metric is `unit * x` and the HPA's target `unit`, a whole number, since
KEDA falls back only with one.
"""

import math
from collections.abc import Sequence
from decimal import Decimal

from finsight_serve.domain import AutoscalingPolicy

QUEUE, REPLICAS = "queue", "replicas"
"""The triggers' names, by which the formula knows them."""


def needs_formula(policy: AutoscalingPolicy) -> bool:
    """With both factors 1, x is T / t, and an HPA divides by itself."""
    return (policy.up_factor, policy.down_factor) != (1, 1)


def unit(policy: AutoscalingPolicy) -> int:
    return math.ceil(policy.target_ongoing_requests)


def formula(policy: AutoscalingPolicy, floors: Sequence[str] = ()) -> str:
    """In the language of expr-lang. `floors`: names of the triggers that say how many replicas there must be at least.

    They stand inside, since a formula takes the place of all triggers.
    """
    wanted = f"{QUEUE} / {decimal(policy.target_ongoing_requests)}"
    up, down = _step(wanted, policy.up_factor), _step(wanted, policy.down_factor)
    if policy.down_factor < 1:
        down = f"({wanted} <= {REPLICAS} - 1 ? min({down}, {REPLICAS} - 1) : {down})"
    x = down if policy.up_factor == policy.down_factor else f"({wanted} > {REPLICAS} ? {up} : {down})"
    return f"{unit(policy)} * max({', '.join(('0', x, *floors))})"


def decimal(value: float) -> str:
    """Without an exponent, exactly as it was given."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _step(wanted: str, factor: float) -> str:
    return wanted if factor == 1 else f"{REPLICAS} + {decimal(factor)} * ({wanted} - {REPLICAS})"
