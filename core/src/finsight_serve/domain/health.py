"""Verdicts on replicas. Plugins neither count nor retry: they report one try, and this decides.

Two limits keep eviction from making things worse. A busy replica misses a short probe too, and evicting it
throws its load on the others: so a probe that timed out or was turned away counts only if the engine's token
counter stood still meanwhile. And a fault that all replicas share is not mended by replacing them all at once:
so only a share may be on its way out at the same time, though never fewer than one, since an unhealthy last
replica protects nobody. "Refused" and "wrong" are no signs of load and always count.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["ok", "refused", "timeout", "saturated", "wrong"]
SIGNS_OF_LOAD: frozenset[Verdict] = frozenset({"timeout", "saturated"})


@dataclass(frozen=True, kw_only=True)
class HealthRules:
    """When a replica is evicted. The defaults are the stock probe's: every 10 s, two failures in a row."""

    period_s: float = 10.0
    """From one probe of a replica to its next."""
    failures_before_eviction: int = 2
    """Failed probes in a row after which a replica is replaced."""
    max_evicting_share: float = 0.34
    """Share of a deployment's replicas that may be on their way out at the same time; always at least one."""


@dataclass(frozen=True)
class ReplicaHealth:
    verdict: Verdict = "ok"
    busy: bool = False  # the last failure was excused: tokens were produced meanwhile
    failures: int = 0  # in a row, those that count
    probed_at_s: float = 0.0


def judge(health: ReplicaHealth, verdict: Verdict, *, tokens_moved: bool, now_s: float) -> ReplicaHealth:
    """The replica's health after one more try. An excused failure neither counts nor clears earlier ones."""
    if verdict == "ok":
        return ReplicaHealth(probed_at_s=now_s)
    busy = tokens_moved and verdict in SIGNS_OF_LOAD
    failures = health.failures if busy else health.failures + 1
    return replace(health, verdict=verdict, busy=busy, failures=failures, probed_at_s=now_s)


def choose_evictions(
    replica_ids: Collection[str],
    health: Mapping[str, ReplicaHealth],
    evicting: Collection[str],
    rules: HealthRules,
) -> frozenset[str]:
    """Which of one deployment's replicas to evict now, beside those that are already on their way out.

    `replica_ids` are all that exist, the evicting ones included. The longest failing goes first.
    """
    leaving = sum(1 for replica_id in replica_ids if replica_id in evicting)
    allowed = max(1, int(rules.max_evicting_share * len(replica_ids))) - leaving
    failing = sorted(
        (
            replica_id
            for replica_id in replica_ids
            if _has_failed(replica_id, health, rules) and replica_id not in evicting
        ),
        key=lambda replica_id: (-health[replica_id].failures, replica_id),
    )
    return frozenset(failing[: max(0, allowed)])


def _has_failed(replica_id: str, health: Mapping[str, ReplicaHealth], rules: HealthRules) -> bool:
    known = health.get(replica_id)
    return known is not None and known.failures >= rules.failures_before_eviction
