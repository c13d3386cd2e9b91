"""Ray Serve's autoscaler, as Ray 2.60 has it, for the policy lab. Imports no Ray.

Decision: `default_autoscaling_policy` wrapped in factors, delays and bounds; one jump, to the latest count wanted when
the delay is over. Signal: a replica notes its requests every fifth of the look-back (10 s at most) and reports what it
noted within the look-back every 10 s; the controller takes the time-weighted mean from the first note that all report
until now, the last note taken to hold.

What differs: Ray decides every 0.1 s, this every `period_s`, so a step comes up to that much later. Notes and reports
of all replicas fall together here; in Ray each replica has its own phase, and a new one's requests are unseen until
its first report.
"""

import math
from collections import deque
from dataclasses import dataclass

from finsight_serve.domain import AutoscalingPolicy

REPORT_S = 10.0
"""`metrics_interval_s`, which the backend leaves at its default."""
NOTE_SHARE = 0.2
"""`RAY_SERVE_AUTOSCALING_METRIC_RECORD_INTERVAL_FACTOR`: of the look-back, between two notes."""
EPSILON_S = 1e-6
"""By how much Ray lets a delay be short."""


@dataclass
class Delay:
    """Since when a step in one direction (1 up, -1 down, 0 none) has been wanted."""

    direction: int = 0
    since_s: float = 0.0

    def over(self, direction: int, delay_s: float, now_s: float) -> bool:
        """Whether a step in `direction` has now been wanted for `delay_s`; then the next one starts anew."""
        if self.direction != direction:
            self.direction, self.since_s = direction, now_s
        if now_s - self.since_s + EPSILON_S < delay_s:
            return False
        self.direction = 0
        return True

    def pass_over(self, direction: int, delay_s: float, from_s: float, to_s: float, period_s: float) -> None:
        """As if `over` had been asked the same at each tick after `from_s` until `to_s`."""
        if not direction or to_s <= from_s:
            self.direction = 0 if to_s > from_s else self.direction
            return
        if self.direction != direction:
            self.direction, self.since_s = direction, from_s + period_s
        waits = math.ceil((delay_s - EPSILON_S) / period_s) if delay_s > EPSILON_S else 0
        rounds = math.floor((to_s - self.since_s) / ((waits + 1) * period_s) + 1e-9)
        self.since_s += rounds * (waits + 1) * period_s
        if self.since_s > to_s + EPSILON_S or to_s - self.since_s + EPSILON_S >= delay_s:
            self.direction = 0


def decide(policy: AutoscalingPolicy, delay: Delay, now_s: float, total: float, ready: int, target: int) -> int:
    """The count to have. `total`: the signal, requests running and queued; `ready`: replicas that run."""
    count = wanted(policy, total, ready, target)
    if ready == 0 and count > 0:
        return within(policy, count)  # from none, Ray waits for nothing and forgets nothing
    direction = (count > target) - (count < target)
    if not direction:
        delay.direction = 0
    elif not delay.over(direction, _delay_s(policy, direction), now_s):
        count = target
    return within(policy, count)


def wanted(policy: AutoscalingPolicy, total: float, ready: int, target: int) -> int:
    """Before delays and bounds."""
    if ready == 0:
        return max(math.ceil(policy.up_factor), target) if total > 0 else target
    raw = ready * (total / (policy.target_ongoing_requests * ready))
    distance = raw - ready
    factor = policy.up_factor if distance > 0 else policy.down_factor
    count = math.ceil(ready + factor * distance)
    if math.ceil(raw) < ready and count == ready:
        count -= 1
    count = max(0, count)
    # the last replica goes alone: from more than one it goes to one first
    return max(1, count) if count < target != 1 else count


def within(policy: AutoscalingPolicy, count: int) -> int:
    return max(policy.min_replicas, min(policy.max_replicas, count))


def _delay_s(policy: AutoscalingPolicy, direction: int) -> float:
    return policy.upscale_delay_s if direction > 0 else policy.downscale_delay_s


class Signal:
    """What the controller knows of the load at a time: notes of replicas, as of their last report."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._notes: deque[tuple[float, float]] = deque()
        self._next_note_s = self._next_report_s = -math.inf
        self._ready, self._newest_s = 0, -math.inf
        self._value = 0.0
        self._steady_from_s = -math.inf
        self._first_s = self._last_s = self._last = self._excess = 0.0  # of the report

    def at(self, now_s: float, look_back_s: float, ongoing: float | None, ready: int) -> float:
        """Called at ticks, `period_s` apart; those left out count as having seen what the one before them saw."""
        if ready > self._ready > 0:
            self._newest_s = now_s
        self._ready = ready
        while (due_s := min(self._next_note_s, self._next_report_s)) <= now_s:
            at_s = now_s if due_s == -math.inf else now_s - (now_s - due_s) // self._period_s * self._period_s
            if self._next_note_s == due_s:
                value = ongoing if at_s == now_s else self._value
                if value is not None:
                    self._notes.append((at_s, value))
                self._next_note_s = at_s + min(look_back_s * NOTE_SHARE, REPORT_S)
            else:
                self._report(at_s - look_back_s)
                self._next_report_s = at_s + REPORT_S
        if ongoing is not None and ongoing != self._value:
            self._value, self._steady_from_s = ongoing, now_s
        rest_s = now_s - self._last_s
        if rest_s <= 0:
            rest_s = 1e-3  # as Ray has it
        return self._last + self._excess / (self._last_s - self._first_s + rest_s)

    def steady(self, now_s: float, look_back_s: float) -> bool:
        """Whether every note that counts from now on is the same, unless the load changes."""
        return now_s - self._steady_from_s > look_back_s + 3 * REPORT_S

    def _report(self, from_s: float) -> None:
        """Of the notes after `from_s`."""
        notes = self._notes
        while notes and notes[0][0] <= from_s:
            notes.popleft()
        if not notes:
            return  # the controller keeps what it was told last
        self._last_s, self._last = notes[-1]
        self._first_s = max(notes[0][0], self._newest_s) if self._newest_s <= self._last_s else notes[0][0]
        # summed as distances from the last note, so that a steady load has exactly its own mean
        self._excess, until_s = 0.0, self._last_s
        for noted_s, value in reversed(notes):
            noted_s = max(noted_s, self._first_s)
            self._excess += (value - self._last) * (until_s - noted_s)
            if noted_s <= self._first_s:
                break
            until_s = noted_s


class RayControlLoop:
    """Where no signal comes, replicas report nothing new, and Ray goes on with what it was told last."""

    period_s = 1.0

    def __init__(self) -> None:
        self._delay, self._signal = Delay(), Signal(self.period_s)
        self._now_s, self._direction, self._delay_s = math.inf, 0, 0.0  # of the last step
        self.settled = False
        """Asked the same again, it would answer the same for ever; ticks may be left out."""

    def step(self, policy: AutoscalingPolicy, now_s: float, ongoing: float | None, ready: int, target: int) -> int:
        if now_s - self._now_s > 1.5 * self.period_s:
            to_s = now_s - self.period_s
            self._delay.pass_over(self._direction, self._delay_s, self._now_s, to_s, self.period_s)
        total = self._signal.at(now_s, policy.look_back_period_s, ongoing, ready)
        count = decide(policy, self._delay, now_s, total, ready, target)
        self.settled = count == target and self._signal.steady(now_s, policy.look_back_period_s)
        if self.settled:
            self._now_s = now_s
            self._lean(policy, total, ready, target)
        else:
            self._now_s = math.inf
        return count

    def _lean(self, policy: AutoscalingPolicy, total: float, ready: int, target: int) -> None:
        """What would be asked for at the ticks that may now be left out."""
        count = wanted(policy, total, ready, target)
        self._direction = (count > target) - (count < target)
        self._delay_s = _delay_s(policy, self._direction)
        self.settled = (within(policy, count) == target) and (ready > 0 or count == 0)
