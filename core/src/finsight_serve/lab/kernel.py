"""The queue's inner loop, compiled. Imported where a simulation starts: numba takes a second.

First come, first served; a request goes to the ready replica with the fewest in work. Waits: seconds, `PENDING` before
a request has begun, `SHED` for one that found the queue full.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

PENDING, SHED = -2.0, -1.0
FREE, STARTING, READY, DRAINING = 0, 1, 2, 3
# indices of `counts`
NEXT, HEAD, WAITING, RUNNING, BUSY, SHED_COUNT, BEGUN, STARTING_COUNT, READY_COUNT = range(9)
# indices of `times`
NEXT_EVENT_S, PAID_S = range(2)


def compiled(function: F) -> F:
    return njit(cache=True)(function)  # type: ignore[no-any-return]


@compiled
def _sift_up(ends_s: Any, holders: Any, place: int) -> None:
    end_s, holder = ends_s[place], holders[place]
    while place > 0:
        parent = (place - 1) >> 1
        if ends_s[parent] <= end_s:
            break
        ends_s[place], holders[place] = ends_s[parent], holders[parent]
        place = parent
    ends_s[place], holders[place] = end_s, holder


@compiled
def _sift_down(ends_s: Any, holders: Any, size: int) -> None:
    end_s, holder, place = ends_s[size], holders[size], 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and ends_s[child + 1] < ends_s[child]:
            child += 1
        if ends_s[child] >= end_s:
            break
        ends_s[place], holders[place] = ends_s[child], holders[child]
        place = child
    ends_s[place], holders[place] = end_s, holder


@compiled
def advance(
    to_s: float,
    arrival_s: Any,
    service_s: Any,
    wait_s: Any,
    max_concurrency: int,
    max_queued: int,
    ends_s: Any,
    holders: Any,
    states: Any,
    since_s: Any,
    ready_s: Any,
    in_work: Any,
    counts: Any,
    times: Any,
) -> None:
    """Everything before `to_s`, changing the arrays.

    `ends_s`, `holders`: a heap of the requests in work, when they end and in which replica; the caller sees to it that
    all replicas' requests have room in it.
    """
    requests, same = len(arrival_s), len(service_s) == 1
    next_ready_s, next_replica = _next_ready(states, ready_s)
    while True:
        arrives_s = arrival_s[counts[NEXT]] if counts[NEXT] < requests else np.inf
        ends_next_s = ends_s[0] if counts[BUSY] else np.inf
        now_s = min(arrives_s, ends_next_s, next_ready_s)
        if now_s >= to_s:
            times[NEXT_EVENT_S] = now_s
            return
        if ends_next_s <= now_s:
            holder = holders[0]
            counts[BUSY] -= 1
            _sift_down(ends_s, holders, counts[BUSY])
            in_work[holder] -= 1
            if states[holder] == DRAINING:
                if in_work[holder] == 0:
                    states[holder] = FREE
                    times[PAID_S] += now_s - since_s[holder]
            else:
                counts[RUNNING] -= 1
        elif next_ready_s <= now_s:
            states[next_replica] = READY
            counts[STARTING_COUNT] -= 1
            counts[READY_COUNT] += 1
            next_ready_s, next_replica = _next_ready(states, ready_s)
        else:
            request = counts[NEXT]
            counts[NEXT] += 1
            if (
                max_queued >= 0
                and counts[WAITING] >= max_queued
                and counts[RUNNING] >= counts[READY_COUNT] * max_concurrency
            ):
                wait_s[request] = SHED
                counts[SHED_COUNT] += 1
            else:
                counts[WAITING] += 1
        while counts[WAITING] > 0 and counts[RUNNING] < counts[READY_COUNT] * max_concurrency:
            request = counts[HEAD]
            while wait_s[request] == SHED:
                request += 1
            counts[HEAD] = request + 1
            wait_s[request] = now_s - arrival_s[request]
            counts[WAITING] -= 1
            counts[BEGUN] += 1
            holder = _least_busy(states, in_work, max_concurrency)
            in_work[holder] += 1
            counts[RUNNING] += 1
            ends_s[counts[BUSY]] = now_s + (service_s[0] if same else service_s[request])
            holders[counts[BUSY]] = holder
            _sift_up(ends_s, holders, counts[BUSY])
            counts[BUSY] += 1


@compiled
def _next_ready(states: Any, ready_s: Any) -> tuple[float, int]:
    first_s, first = np.inf, -1
    for replica in range(len(states)):
        if states[replica] == STARTING and ready_s[replica] < first_s:
            first_s, first = ready_s[replica], replica
    return first_s, first


@compiled
def _least_busy(states: Any, in_work: Any, max_concurrency: int) -> int:
    """The caller knows that one has room."""
    fewest, found = max_concurrency, -1
    for replica in range(len(states)):
        if states[replica] == READY and in_work[replica] < fewest:
            fewest, found = in_work[replica], replica
            if fewest == 0:
                break
    return found
