"""A kubelet that is started again calls all of its pods unready until it has asked each: no reason to shut them out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from .replica_pod import ReplicaPod

HOLD_S = 10.0
"""Longer than a kubelet takes to ask every pod again."""


@dataclass
class ReadinessHold:
    """A pod that was ready stays so for a while, as long as the same container runs on in it."""

    now: Callable[[], float]
    remind: Callable[[float], object]  # to look again in so many seconds
    _ready: dict[str, int] = field(default_factory=dict)  # uid → restarts
    _lost_s: dict[str, float] = field(default_factory=dict)

    def over(self, pods: Iterable[ReplicaPod]) -> tuple[ReplicaPod, ...]:
        found = tuple(pods)
        present = {pod.uid for pod in found}
        self._ready = {uid: restarts for uid, restarts in self._ready.items() if uid in present}
        return tuple(self._held(found))

    def _held(self, pods: Iterable[ReplicaPod]) -> Iterator[ReplicaPod]:
        for pod in pods:
            if pod.is_ready:
                self._ready[pod.uid] = pod.restarts
                self._lost_s.pop(pod.uid, None)
                yield pod
            elif pod.is_ending or not pod.is_running or self._ready.get(pod.uid) != pod.restarts:
                self._lost_s.pop(pod.uid, None)
                yield pod
            else:
                yield replace(pod, is_ready=self._is_recent(pod.uid))

    def _is_recent(self, uid: str) -> bool:
        if uid not in self._lost_s:
            self._lost_s[uid] = self.now()
            self.remind(HOLD_S)
        return self.now() - self._lost_s[uid] < HOLD_S
