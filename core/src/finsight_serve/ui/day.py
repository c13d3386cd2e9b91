"""Floor, ceiling, ready replicas and requests of each deployment over a day. Pure.

The day is the last 18 hours and the next 6: what was asked, and which floor comes next. Requests are by the hour, since
that is how the ledger adds them up: by the minute it would have to read every row.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..controller.scaling import cold_start_s
from ..controller.state import Durable
from ..domain import Event
from ..schedule import cut_overs, policy_at
from ..stack.values import Deployment
from ..store.ledger import Hour

HOUR_S = 3600.0
PAST_HOURS, AHEAD_HOURS = 18, 6
OF_DEPLOYMENT = re.compile(r"of ([^\s:]+)")
"""How a replica's events begin."""


@dataclass(frozen=True)
class Stretch:
    """One replica was ready; `until_s` None: it still is, as far as anybody knows."""

    deployment: str
    since_s: float
    until_s: float | None


def span_of_day(now_s: float) -> tuple[float, float]:
    """Whole hours, of which the 18th is the present one."""
    this_hour_s = now_s // HOUR_S * HOUR_S
    return this_hour_s - (PAST_HOURS - 1) * HOUR_S, this_hour_s + (AHEAD_HOURS + 1) * HOUR_S


def describe_day(
    durable: Durable, hours: Sequence[Hour], history: Sequence[Event], ready: Iterable[str], now_s: float, seen_s: float
) -> Mapping[str, Any]:
    """`ready`: ids of the replicas that are ready now; what was ready is known until `seen_s`."""
    from_s, until_s = span_of_day(now_s)
    counts = ready_over_time(stretches(history, set(ready)), from_s)
    deployments = durable.stack.deployments if durable.stack else ()
    return {
        "from_s": from_s,
        "until_s": until_s,
        "seen_until_s": seen_s,
        "deployments": {
            one.name: {
                "bounds": _bounds(durable, one, from_s, until_s),
                "ready": [{"at_s": at_s, "count": count} for at_s, count in counts.get(one.name, ())],
                "hours": _hours_of(hours, one.name),
            }
            for one in deployments
        },
        "refused": _hours_of(hours, ""),
    }


def _bounds(durable: Durable, deployment: Deployment, from_s: float, until_s: float) -> list[Mapping[str, float]]:
    cold_s = cold_start_s(durable, deployment.name)
    first = policy_at(deployment.policy, from_s, cold_s)
    held = [(from_s, first), *((one.at_s, one.after) for one in cut_overs(deployment.policy, from_s, until_s, cold_s))]
    return [{"at_s": at_s, "floor": policy.min_replicas, "ceiling": policy.max_replicas} for at_s, policy in held]


def _hours_of(hours: Sequence[Hour], deployment: str) -> list[Mapping[str, float]]:
    return [
        {"from_s": one.starts_s, "requests": one.requests, "failed": one.failed, "truncated": one.truncated}
        for one in hours
        if one.deployment == deployment
    ]


def stretches(history: Sequence[Event], ready: set[str]) -> list[Stretch]:
    """A replica of which no end was told, and that is not there, ended before the next start of a controller:
    that one found it missing. Where no controller has started since, it may still be there.
    """
    open_ones: dict[str, tuple[str, float]] = {}
    found, last_start_s = list[Stretch](), float("-inf")
    for event in history:
        if event.kind == "stack_chosen":
            last_start_s = event.at_s
            continue
        was = open_ones.pop(event.subject, None)
        deployment = OF_DEPLOYMENT.match(event.reason)
        if event.kind in ("replica_ready", "replica_evicted") and (was or deployment):
            # told again by a controller that has just started: it was ready all along
            open_ones[event.subject] = was or (deployment[1] if deployment else "", event.at_s)
        elif was:
            found.append(Stretch(*was, event.at_s))
    for id, (deployment_name, since_s) in open_ones.items():
        missing = id not in ready and last_start_s > since_s
        found.append(Stretch(deployment_name, since_s, last_start_s if missing else None))
    return found


def ready_over_time(found: Sequence[Stretch], from_s: float) -> Mapping[str, list[tuple[float, int]]]:
    """By deployment: from when on how many were ready. It begins where the first was seen, or with the day."""
    changes: dict[str, dict[float, int]] = {}
    for one in found:
        of_one = changes.setdefault(one.deployment, {})
        of_one[one.since_s] = of_one.get(one.since_s, 0) + 1
        if one.until_s is not None:
            of_one[one.until_s] = of_one.get(one.until_s, 0) - 1
    counts: dict[str, list[tuple[float, int]]] = {}
    for deployment, of_one in changes.items():
        ready, steps = 0, list[tuple[float, int]]()
        for at_s in sorted(of_one):
            ready += of_one[at_s]
            if steps and steps[-1][1] == ready:
                continue
            if at_s <= from_s:
                steps = [(from_s, ready)]
            else:
                steps.append((at_s, ready))
        counts[deployment] = steps
    return counts
