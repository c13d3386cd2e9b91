"""What the policy compiler promises: the lab's own control loop for KEDA, second by second, over a load that was."""

from collections.abc import Sequence
from dataclasses import dataclass

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve_k8s_keda.autoscaler import KedaControlLoop
from finsight_serve_k8s_keda.options import Options
from finsight_serve_k8s_keda.scaled_object import SYNC_S

SETTLED_S = 60
"""How long before the first second the first value of the load stands."""


@dataclass(frozen=True)
class Steps:
    """A value over time, from its changes (seconds, value)."""

    changes: Sequence[tuple[float, int]]

    def at(self, at_s: float) -> int:
        held = [value for since_s, value in self.changes if since_s <= at_s]
        return held[-1] if held else self.changes[0][1]


def promised(
    policy: AutoscalingPolicy, load: Steps, seconds: int, *, sync_s: float, cold_start_s: float, options: Options
) -> list[int]:
    """The counts at each second from 0 on. `sync_s`: when one of the HPA's syncs was, which only it knows before."""
    loop = KedaControlLoop(options)
    began_s = round(sync_s % SYNC_S) - SETTLED_S
    ready_s = [float(began_s)] * policy.min_replicas  # when each replica was ready, or will be
    counts = []
    for now_s in range(began_s, seconds):
        ready = sum(at_s <= now_s for at_s in ready_s)
        target = loop.step(policy, now_s, load.at(now_s), ready, len(ready_s))
        ready_s = ready_s[:target] + [now_s + cold_start_s] * (target - len(ready_s))
        counts.append(target)
    return counts[-seconds:]


def equal_share(one: Sequence[int], other: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def runs(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(second from which on, count)"""
    return [(second, count) for second, count in enumerate(counts) if second == 0 or count != counts[second - 1]]
