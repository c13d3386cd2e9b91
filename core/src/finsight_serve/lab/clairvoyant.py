"""What the same load must cost at least, for whoever knows it beforehand.

The bound keeps to the policy's floor and ceiling, windows included, to the cold start and to a p99 wait. It is a lower
bound, not an optimum. Two terms: the floor's replica-hours, which every plan pays; and the extra ones. The load is run
at the floor, with every replica of it ready at once. Requests that wait too long there fall into episodes: stretches
that share no waiting or working request, so that what happens in one changes nothing in another. To help any request of
an episode a further replica must be paid for within it, for no less than the episode's shortest request and the cold
start before; where one replica is kept from an episode to the next, the time between takes the cold start's place, if
it is shorter. The cheapest episodes are helped until no more than one request in a hundred waits too long; a part of
the last one costs that part.

Beside it stands what a plan costs that is run in the simulator and keeps the p99 wait: the truth is between the two.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..domain import AutoscalingPolicy
from .extra import load
from .service import ServiceModel
from .simulation import flat_policies, simulate
from .trace import Span, Trace

if TYPE_CHECKING:
    from .trace import Array

WAIT_SHARE = 0.01
ROUNDS = 6
SLACK_S = 1e-6


@dataclass(frozen=True)
class Bound:
    replica_hours: float
    """No plan costs less."""
    attained_hours: float | None
    """What a plan with foresight was run to cost; None where none was found within the ceiling."""
    floor_hours: float
    """The floor's alone."""
    p99_wait_s: float
    """The wait that is kept to."""


@dataclass(frozen=True)
class _Episode:
    start_s: float
    end_s: float
    too_long: int
    """Requests that wait longer than they may."""
    cost_s: float
    """Replica-seconds that helping any of them takes at least."""


def clairvoyant(policy: AutoscalingPolicy, trace: Trace, service: ServiceModel, *, p99_wait_s: float) -> Bound:
    """The bound for keeping to `p99_wait_s`, which is the policy's own for a fair comparison. Raises `UserError`."""
    load("numba")
    floor_s = sum(_floor_s(policy, trace, service, span) for span in trace.spans)
    episodes = [one for span in trace.spans for one in _episodes(policy, trace, service, span, p99_wait_s)]
    may_wait = WAIT_SHARE * len(trace)
    must_help = sum(one.too_long for one in episodes) - may_wait
    extra_s, chosen = _cheapest(episodes, must_help)
    attained = _attain(policy, trace, service, p99_wait_s, episodes, chosen)
    return Bound((floor_s + extra_s) / 3600, attained, floor_s / 3600, p99_wait_s)


def _floors(policy: AutoscalingPolicy, trace: Trace, service: ServiceModel, span: Span) -> list[tuple[float, int]]:
    start_s, found = span[0], []
    for flat, until_s in flat_policies(policy, span, trace.start_s, service.cold_start_s):
        found.append((start_s, flat.min_replicas))
        start_s = until_s
    return found


def _floor_s(policy: AutoscalingPolicy, trace: Trace, service: ServiceModel, span: Span) -> float:
    floors = _floors(policy, trace, service, span)
    ends = [at_s for at_s, _ in floors[1:]] + [span[1]]
    return sum((min(end_s, span[1]) - at_s) * floor for (at_s, floor), end_s in zip(floors, ends, strict=True))


def _episodes(
    policy: AutoscalingPolicy, trace: Trace, service: ServiceModel, span: Span, p99_wait_s: float
) -> list[_Episode]:
    import numpy as np

    from .queue import Queue

    low, high = np.searchsorted(trace.arrival_s, span)
    if low == high:
        return []
    times_s = service.times_s(trace)
    own_s = times_s if len(times_s) == 1 else times_s[low:high]
    floors = _floors(policy, trace, service, span)
    at_once = replace(service, cold_start_s=0.0, max_queued=None)
    arrival_s = trace.arrival_s[low:high]
    queue = Queue(arrival_s, own_s, at_once, now_s=span[0], ready=floors[0][1])
    for at_s, floor in floors[1:]:
        queue.advance(at_s)
        queue.scale(floor, at_s)
    queue.advance(span[1])
    wait_s = np.where(queue.wait_s < 0, span[1] - arrival_s, queue.wait_s)
    waited = np.flatnonzero(wait_s > SLACK_S)
    if not len(waited):
        return []
    each_s = np.broadcast_to(own_s, arrival_s.shape)[waited]
    ends_s = np.maximum.accumulate(arrival_s[waited] + wait_s[waited] + each_s)
    first = np.flatnonzero(np.append(True, arrival_s[waited][1:] > ends_s[:-1]))
    too_long = np.add.reduceat((wait_s[waited] > p99_wait_s + SLACK_S).astype(np.int64), first)
    starts_s, stops_s = arrival_s[waited][first], ends_s[np.append(first[1:] - 1, len(waited) - 1)]
    shortest_s = np.minimum.reduceat(each_s, first)
    matter = np.flatnonzero(too_long)
    found, before_s = [], -np.inf
    for place in matter:
        ahead_s = min(service.cold_start_s, float(starts_s[place]) - before_s)
        cost_s = float(shortest_s[place]) + ahead_s
        found.append(_Episode(float(starts_s[place]), float(stops_s[place]), int(too_long[place]), cost_s))
        before_s = float(stops_s[place])
    return found


def _cheapest(episodes: Sequence[_Episode], must_help: float) -> tuple[float, int]:
    """Replica-seconds, and how many of the cheapest episodes it takes."""
    cost_s, helped, chosen = 0.0, 0.0, 0
    for one in _by_price(episodes):
        if helped >= must_help:
            break
        cost_s += one.cost_s * min(1.0, (must_help - helped) / one.too_long)
        helped += one.too_long
        chosen += 1
    return cost_s, chosen


def _by_price(episodes: Sequence[_Episode]) -> list[_Episode]:
    return sorted(episodes, key=lambda one: one.cost_s / one.too_long)


class _Plan:
    """A control loop that has read the future."""

    period_s = 1.0
    settled = False

    def __init__(self, changes: Sequence[tuple[float, int]], epoch_s: float) -> None:
        """`changes`: from when on, how many replicas beyond the floor."""
        self._times_s, self._counts = [epoch_s + at_s for at_s, _ in changes], [count for _, count in changes]

    def step(self, policy: AutoscalingPolicy, now_s: float, ongoing: float | None, ready: int, target: int) -> int:
        place = bisect_right(self._times_s, now_s) - 1
        wanted = self._counts[place] if place >= 0 else 0
        return max(policy.min_replicas, min(policy.max_replicas, wanted))


def _attain(
    policy: AutoscalingPolicy,
    trace: Trace,
    service: ServiceModel,
    p99_wait_s: float,
    episodes: Sequence[_Episode],
    chosen: int,
) -> float | None:
    """The cost of a plan that has as many replicas as the cheapest episodes ask for, ordered a cold start ahead."""
    for _ in range(ROUNDS):
        helped = sorted(_by_price(episodes)[:chosen], key=lambda one: one.start_s)
        for spare in (0, 1):  # what already runs when an episode begins may need room, too
            changes = _changes(trace, service, helped, spare)
            outcome = simulate(policy, trace, _Plan(changes, trace.start_s), service)
            if outcome.p99_wait_s <= p99_wait_s + SLACK_S and not outcome.shed:
                return outcome.replica_hours
        if chosen >= len(episodes):
            break
        chosen = min(len(episodes), max(chosen + 1, 2 * chosen))
    return None


def _changes(trace: Trace, service: ServiceModel, episodes: Sequence[_Episode], spare: int) -> list[tuple[float, int]]:
    """A count for each episode, from a cold start before it: what all its requests need that begin as they come."""
    import numpy as np

    if not episodes:
        return []
    times_s = service.times_s(trace)
    stretches: list[list[float]] = []
    for one in episodes:
        low, high = np.searchsorted(trace.arrival_s, (one.start_s, one.end_s))
        arrival_s = trace.arrival_s[low:high]
        each_s = times_s if len(times_s) == 1 else times_s[low:high]
        start_s = one.start_s - service.cold_start_s - 2 * _Plan.period_s
        end_s = float((arrival_s + each_s).max())
        count = _needed(arrival_s, each_s, service) + spare
        if stretches and stretches[-1][1] >= start_s:
            stretches[-1][1] = max(stretches[-1][1], end_s)
            stretches[-1][2] = max(stretches[-1][2], count)
        else:
            stretches.append([start_s, end_s, count])
    return [change for start_s, end_s, count in stretches for change in ((start_s, int(count)), (end_s, 0))]


def _needed(arrival_s: "Array", each_s: "Array", service: ServiceModel) -> int:
    import numpy as np

    ends_s = np.sort(arrival_s + each_s)
    in_work = np.arange(1, len(arrival_s) + 1) - np.searchsorted(ends_s, arrival_s, side="right")
    return int(np.ceil(in_work.max() / service.max_concurrency))
