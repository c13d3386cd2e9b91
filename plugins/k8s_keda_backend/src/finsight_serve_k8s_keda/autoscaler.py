"""KEDA and the HorizontalPodAutoscaler that it makes, for the policy lab; with the numbers that the plans carry.

What they are told is as old as it is on average: Prometheus scrapes at any moment between two of its intervals and
takes the mean over the look-back at multiples of its interval, so each adds half of one. KEDA asks when the HPA does.
"""

import math
from collections import deque
from dataclasses import dataclass

from finsight_serve.domain import AutoscalingPolicy

from .formula import needs_formula, unit
from .hpa import TOLERANCE, Recommendation, limit, recommend, stabilize
from .options import Options
from .scaled_object import FAILURES, LONGEST_WINDOW_S, SYNC_S, stabilization_s


def gain(policy: AutoscalingPolicy, load: float, ready: int) -> float:
    """The metric of the plan's formula, in requests; `ready` replicas as kube-state-metrics tells."""
    wanted = load / policy.target_ongoing_requests
    factor = policy.up_factor if wanted > ready else policy.down_factor
    step = wanted if factor == 1 else ready + factor * (wanted - ready)
    if wanted <= ready - 1 and policy.down_factor < 1:
        step = min(step, ready - 1)
    return unit(policy) * max(0.0, step)


def period_s(scrape_interval_s: float) -> float:
    """How often to look: as often as Prometheus does, made a whole part of the time between two syncs.

    Between two syncs at least once, since a scrape and a sync take turns.
    """
    return SYNC_S / max(2, math.ceil(SYNC_S / scrape_interval_s))


class KedaControlLoop:
    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options.model_validate({})
        self.period_s = period_s(self._options.scrape_interval_s)
        self._tolerance = 0.0 if self._options.hpa_tolerance else TOLERANCE
        self._seen: deque[_Seen] = deque()
        self._told: deque[Recommendation] = deque()
        self._changes: deque[tuple[float, int]] = deque()
        self._next_sync_s = self._now_s = -math.inf
        self._failures = 0
        self._busy_s = -math.inf
        self._steady_from_s = -math.inf
        self._before: tuple[float, int, int, AutoscalingPolicy] | None = None  # what was asked
        self._wanted = 0
        self.settled = False
        """Asked the same again, it would answer the same for ever; ticks may be left out."""

    def step(self, policy: AutoscalingPolicy, now_s: float, ongoing: float | None, ready: int, target: int) -> int:
        self._make_up(policy, now_s, target)
        known = ready or not policy.min_replicas  # without an engine no metric, but for the load balancer's
        self._seen.append(_Seen(now_s, ongoing if known else None, ready))
        asked = (-1.0 if ongoing is None else ongoing, ready, target, policy)
        if asked != self._before:
            self._before, self._steady_from_s = asked, now_s
        count = target
        if now_s >= self._next_sync_s:
            first = self._next_sync_s == -math.inf
            self._next_sync_s = now_s + SYNC_S if first else self._next_sync_s + SYNC_S
            if first:
                self._told.append(Recommendation(now_s, target))  # so that a controller's restart changes nothing
            count = self._sync(policy, now_s, target)
            if count != target:
                self._changes.append((now_s, count - target))
        longest_s = max(self._look_back_s(policy), policy.upscale_delay_s, policy.downscale_delay_s)
        self._forget(now_s, longest_s)
        self._now_s = now_s
        self.settled = count == target and ongoing is not None and now_s - self._steady_from_s > longest_s + 4 * SYNC_S
        return count

    def _sync(self, policy: AutoscalingPolicy, now_s: float, pods: int) -> int:
        load, ready = self._load(policy, now_s), self._ready(now_s)
        if load:
            self._busy_s = now_s
        if pods == 0:
            return max(policy.min_replicas, 1 if load else 0)  # the HPA rests; KEDA starts one
        if load == 0 and policy.min_replicas == 0 and now_s - self._busy_s >= math.ceil(policy.downscale_delay_s):
            return 0  # KEDA's own doing
        least = max(1, policy.min_replicas)
        if pods > policy.max_replicas:
            return policy.max_replicas
        if pods < least:
            return least
        metric, each = self._metric(policy, load, ready)
        if metric is None:
            return pods
        self._wanted = wanted = recommend(metric, each, pods, self._tolerance)
        up_s, down_s = stabilization_s(policy.upscale_delay_s), stabilization_s(policy.downscale_delay_s)
        calm = stabilize(wanted, pods, now_s, self._told, up_s, down_s)
        self._told.append(Recommendation(now_s, wanted))
        recent = [change for at_s, change in self._changes if now_s - at_s < SYNC_S]
        added, removed = sum(n for n in recent if n > 0), -sum(n for n in recent if n < 0)
        return limit(calm, pods, least, policy.max_replicas, added, removed, per_period=policy.max_replicas)

    def _metric(self, policy: AutoscalingPolicy, load: float | None, ready: int) -> tuple[float | None, float]:
        """And its target per pod. None: KEDA answers with an error, and an HPA leaves the count alone."""
        formula = needs_formula(policy)
        each = unit(policy) if formula else policy.target_ongoing_requests
        if load is not None:
            self._failures = 0
            return (gain(policy, load, ready) if formula else load), each
        self._failures += 1
        lost = policy.on_signal_loss
        if self._failures <= FAILURES or lost == "hold":
            return None, each
        return (policy.min_replicas if lost == "floor" else lost) * each, each

    def _load(self, policy: AutoscalingPolicy, now_s: float) -> float | None:
        """Requests running and queued as the query answers now; None where it has no sample."""
        interval_s = self._options.scrape_interval_s
        if policy.look_back_period_s <= interval_s:
            return self._at(now_s - interval_s / 2).ongoing
        points = max(1, round(policy.look_back_period_s / interval_s))
        values = [self._at(now_s - (1 + place) * interval_s).ongoing for place in range(points)]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    def _ready(self, now_s: float) -> int:
        return self._at(now_s - self._options.scrape_interval_s / 2).ready

    def _at(self, then_s: float) -> "_Seen":
        """What stood then; before the first tick, what it saw."""
        for seen in reversed(self._seen):
            if seen.at_s <= then_s + 1e-6:
                return seen
        return self._seen[0]

    def _look_back_s(self, policy: AutoscalingPolicy) -> float:
        return policy.look_back_period_s + 2 * self._options.scrape_interval_s

    def _make_up(self, policy: AutoscalingPolicy, now_s: float, target: int) -> None:
        """For ticks left out, at which all was as before."""
        if not now_s - self._now_s > 1.5 * self.period_s or self._now_s == -math.inf:
            return
        last = self._seen[-1]
        missed = round((now_s - self._now_s) / self.period_s) - 1
        keep = math.ceil(self._look_back_s(policy) / self.period_s) + 1
        for back in range(min(missed, keep), 0, -1):
            self._seen.append(_Seen(now_s - back * self.period_s, last.ongoing, last.ready))
        while self._next_sync_s < now_s - self.period_s / 2:
            self._told.append(Recommendation(self._next_sync_s, self._wanted))
            if last.ongoing:
                self._busy_s = self._next_sync_s
            self._next_sync_s += SYNC_S

    def _forget(self, now_s: float, longest_s: float) -> None:
        # a window may grow when another policy begins to hold, so more is kept than this one reads
        while self._seen and now_s - self._seen[0].at_s > max(longest_s, LONGEST_WINDOW_S) + 2 * SYNC_S:
            self._seen.popleft()
        while self._told and now_s - self._told[0].at_s > LONGEST_WINDOW_S:
            self._told.popleft()
        while self._changes and now_s - self._changes[0][0] > SYNC_S:
            self._changes.popleft()


@dataclass(frozen=True)
class _Seen:
    at_s: float
    ongoing: float | None
    ready: int
