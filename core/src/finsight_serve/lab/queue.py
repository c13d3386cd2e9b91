"""A deployment's replicas and the requests that wait for them, moved on from one control tick to the next."""

from typing import TYPE_CHECKING

from . import kernel
from .kernel import (
    DRAINING,
    FREE,
    NEXT_EVENT_S,
    PAID_S,
    PENDING,
    READY,
    READY_COUNT,
    RUNNING,
    STARTING,
    STARTING_COUNT,
    WAITING,
)
from .service import ServiceModel

if TYPE_CHECKING:
    from .trace import Array


class Queue:
    """First come, first served over all ready replicas. A removed replica takes no more and ends what it has.

    One queue stands for all replicas': what waits at a removed one is taken up by the others. A replica is paid for
    from its start to the end of its last request.
    """

    def __init__(self, arrival_s: "Array", service_s: "Array", service: ServiceModel, *, now_s: float, ready: int):
        """`arrival_s` ascending; `service_s` as long, or one for all. `ready` replicas serve from the beginning."""
        import numpy as np

        self.arrival_s, self._service_s, self._service = arrival_s, service_s, service
        self.wait_s = np.full(len(arrival_s), PENDING, dtype=np.float32)
        self._counts = np.zeros(9, dtype=np.int64)
        self._times = np.array([now_s, 0.0])
        self._states = np.zeros(0, dtype=np.int8)
        self._since_s, self._ready_s = np.zeros(0), np.zeros(0)
        self._in_work = np.zeros(0, dtype=np.int64)
        self._ends_s, self._holders = np.zeros(0), np.zeros(0, dtype=np.int32)
        self.next_event_s = now_s
        self.ongoing = 0
        """Running and waiting; what draining replicas still work on aside."""
        self.ready = ready
        self.have = ready
        """Starting and ready."""
        self._start(ready, now_s, now_s, READY)
        self._counts[READY_COUNT] = ready

    def advance(self, to_s: float) -> None:
        """Everything before `to_s`."""
        if self.next_event_s >= to_s:
            return
        kernel.advance(
            to_s,
            self.arrival_s,
            self._service_s,
            self.wait_s,
            self._service.max_concurrency,
            -1 if self._service.max_queued is None else self._service.max_queued,
            self._ends_s,
            self._holders,
            self._states,
            self._since_s,
            self._ready_s,
            self._in_work,
            self._counts,
            self._times,
        )
        self._look()

    def scale(self, to: int, now_s: float) -> None:
        """To so many replicas: starts new ones, or removes those still starting and then the youngest."""
        if to > self.have:
            self._start(to - self.have, now_s, now_s + self._service.cold_start_s, STARTING)
            self._counts[STARTING_COUNT] += to - self.have
            self._times[NEXT_EVENT_S] = min(self._times[NEXT_EVENT_S], now_s + self._service.cold_start_s)
        else:
            for _ in range(self.have - to):
                self._remove_one(now_s)
        self._look()

    def finish(self, now_s: float) -> float:
        """Ends the simulation: the replica-seconds paid for until now."""
        there = self._states != FREE
        return float(self._times[PAID_S] + (now_s - self._since_s[there]).sum())

    @property
    def waiting(self) -> int:
        return int(self._counts[WAITING])

    @property
    def shed(self) -> int:
        return int(self._counts[kernel.SHED_COUNT])

    @property
    def begun(self) -> int:
        return int(self._counts[kernel.BEGUN])

    def _look(self) -> None:
        counts = self._counts.tolist()
        self.ongoing = counts[RUNNING] + counts[WAITING]
        self.ready = counts[READY_COUNT]
        self.have = self.ready + counts[STARTING_COUNT]
        self.next_event_s = float(self._times[NEXT_EVENT_S])

    def _start(self, count: int, now_s: float, ready_s: float, state: int) -> None:
        import numpy as np

        free = np.flatnonzero(self._states == FREE)[:count]
        if len(free) < count:
            self._grow(max(8, len(self._states), count))
            free = np.flatnonzero(self._states == FREE)[:count]
        self._states[free] = state
        self._since_s[free], self._ready_s[free] = now_s, ready_s
        self._in_work[free] = 0

    def _grow(self, by: int) -> None:
        import numpy as np

        self._states = np.append(self._states, np.zeros(by, dtype=np.int8))
        self._since_s = np.append(self._since_s, np.zeros(by))
        self._ready_s = np.append(self._ready_s, np.zeros(by))
        self._in_work = np.append(self._in_work, np.zeros(by, dtype=np.int64))
        room = min(len(self._states) * self._service.max_concurrency, len(self.arrival_s)) + 1
        self._ends_s = np.append(self._ends_s, np.zeros(room - len(self._ends_s)))
        self._holders = np.append(self._holders, np.zeros(room - len(self._holders), dtype=np.int32))

    def _remove_one(self, now_s: float) -> None:
        """A starting one if there is any, the youngest of its kind."""
        import numpy as np

        starting = np.flatnonzero(self._states == STARTING)
        candidates = starting if len(starting) else np.flatnonzero(self._states == READY)
        victim = candidates[self._since_s[candidates].argmax()]
        if len(starting):
            self._counts[STARTING_COUNT] -= 1
        else:
            self._counts[READY_COUNT] -= 1
            self._counts[RUNNING] -= self._in_work[victim]
        if self._in_work[victim]:
            self._states[victim] = DRAINING
        else:
            self._states[victim] = FREE
            self._times[PAID_S] += now_s - self._since_s[victim]
