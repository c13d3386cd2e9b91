"""The ServingCircuitBreaker: whether a deployment's answers are good enough to send it more. Pure.

Closed, a deployment takes its whole share. Its breaker opens when too many answers fail, break off or begin too late,
or when all of its replicas fail their probes; then it takes nothing. After a while the breaker is half-open: a bounded
share tells whether it closes, or opens again and for twice as long.
"""

from dataclasses import dataclass, replace
from typing import Literal

from .figures import Figures

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, kw_only=True)
class BreakerRules:
    """When a deployment is left alone for a while, and how it is tried again."""

    window_s: float = 30.0
    """Requests that ended within so many seconds are looked at."""
    min_requests: int = 20
    """A window with fewer says nothing about its error rate or its time to first token."""
    error_rate: float = 0.5
    """Share of failed or truncated requests in the window from which it opens."""
    consecutive_failures: int = 10
    """Failed or truncated requests in a row from which it opens, however many the window holds."""
    ttft_p95_s: float | None = None
    """Time to first token (95th percentile of the window) above which it opens; not looked at unless given."""
    open_s: float = 30.0
    """How long it stays open the first time; doubled each time that trying again fails."""
    max_open_s: float = 300.0
    """The longest that it stays open, unless all of its replicas fail their probes for longer."""
    half_open_percent: int = 10
    """Share of its requests that it gets while it is tried again."""
    half_open_requests: int = 10
    """Good answers while tried again after which it closes; a third as many failures open it again."""


@dataclass(frozen=True)
class Breaker:
    state: BreakerState = "closed"
    since_s: float = 0.0
    openings: int = 0  # in a row, without having been closed in between
    reason: str = ""


@dataclass(frozen=True)
class Bounds:
    """From how many on something counts as a fault."""

    in_a_row: int
    error_requests: int
    ttft_requests: int


def judge(
    breaker: Breaker,
    rules: BreakerRules,
    figures: Figures | None,
    *,
    replicas_ok: int,
    replicas_failing: int,
    now_s: float,
) -> Breaker:
    """The breaker at `now_s`; the same object where nothing changes.

    `figures` are of requests since its present state began, while it is closed of the window's. Those that reach
    farther back (`since_s`) were measured in another state and count as unknown, as None does; what needs them holds.
    The replicas are the ready ones, by their probes: without any, probes say nothing.
    """
    if figures is not None and figures.since_s < breaker.since_s:
        figures = None
    is_dead = replicas_ok == 0 and replicas_failing > 0
    if breaker.state == "open":
        return _while_open(breaker, rules, is_dead, now_s)
    dead = f"all {replicas_failing} ready replicas fail their probes" if is_dead else ""
    fault = dead or _fault(breaker, rules, figures, now_s)
    if fault:
        return _opened(breaker, rules, fault, now_s)
    if breaker.state == "half_open" and figures is not None:
        all_answer = replicas_ok if replicas_failing == 0 else 0
        return _while_tried(breaker, rules, figures, all_answer, now_s)
    return breaker


def open_for_s(breaker: Breaker, rules: BreakerRules) -> float:
    """How long it is left alone, by how often in a row it has opened."""
    doublings = min(max(breaker.openings - 1, 0), 60)  # beyond that it is the longest anyway, and no float
    return min(rules.open_s * 2.0**doublings, rules.max_open_s)


def _while_open(breaker: Breaker, rules: BreakerRules, is_dead: bool, now_s: float) -> Breaker:
    """Time alone tries it again, so that one that can't be measured is not shut out for ever."""
    if is_dead or now_s < breaker.since_s + open_for_s(breaker, rules):
        return breaker
    reason = f"was open for {now_s - breaker.since_s:.0f} s; gets {rules.half_open_percent} % of its share"
    return Breaker("half_open", now_s, breaker.openings, reason)


def _opened(breaker: Breaker, rules: BreakerRules, fault: str, now_s: float) -> Breaker:
    opened = Breaker("open", now_s, breaker.openings + 1)
    again = ", tried again" if breaker.state == "half_open" else ""
    return replace(opened, reason=f"{fault}{again}; open for {open_for_s(opened, rules):g} s")


def _while_tried(breaker: Breaker, rules: BreakerRules, figures: Figures, all_answer: int, now_s: float) -> Breaker:
    """`all_answer`: so many replicas, of which none fails its probes."""
    good = figures.requests - figures.failed - figures.truncated
    tried = f"{good} of {figures.requests} requests went well in {now_s - breaker.since_s:.0f} s of trying"
    if good >= rules.half_open_requests:
        return Breaker("closed", now_s, reason=tried)
    if all_answer and _has_waited(breaker, rules, now_s):
        return Breaker("closed", now_s, reason=f"{tried}, and none of {all_answer} ready replicas fails its probes")
    return breaker


def _bounds(breaker: Breaker, rules: BreakerRules, now_s: float) -> Bounds:
    """Fewer while it is tried: it has failed before. In the end whatever was seen decides."""
    if breaker.state == "closed":
        return Bounds(rules.consecutive_failures, rules.min_requests, rules.min_requests)
    few = max(1, rules.half_open_requests // 3)
    in_a_row = min(few, rules.consecutive_failures)
    if _has_waited(breaker, rules, now_s):
        return Bounds(in_a_row, 1, 1)
    return Bounds(in_a_row, few, rules.half_open_requests)


def _has_waited(breaker: Breaker, rules: BreakerRules, now_s: float) -> bool:
    """Nobody may be asking, so that it is tried only for as long as it is left alone at first."""
    return now_s >= breaker.since_s + rules.open_s


def _fault(breaker: Breaker, rules: BreakerRules, figures: Figures | None, now_s: float) -> str:
    """What its answers say against it, with the evidence; "" if nothing."""
    if figures is None:
        return ""
    bounds = _bounds(breaker, rules, now_s)
    if figures.failures_in_a_row >= bounds.in_a_row:
        return f"{figures.failures_in_a_row} requests in a row failed or broke off (limit {bounds.in_a_row})"
    bad, rate = figures.failed + figures.truncated, figures.error_rate
    seen_s = now_s - figures.since_s if breaker.state == "half_open" else min(rules.window_s, now_s - figures.since_s)
    of = f"of {figures.requests} requests in {seen_s:.0f} s"
    if rate is not None and figures.requests >= bounds.error_requests and rate >= rules.error_rate:
        return f"{bad} {of} failed or broke off ({100 * rate:.3g} %, limit {100 * rules.error_rate:.3g} %)"
    slowest_s, ttft_s = rules.ttft_p95_s, figures.ttft_p95_s
    if slowest_s is not None and ttft_s is not None and figures.timed >= bounds.ttft_requests and ttft_s > slowest_s:
        timed = f"of {figures.timed} requests in {seen_s:.0f} s"
        return f"time to first token p95 is {ttft_s:.3g} s {timed} (limit {slowest_s:g} s)"
    return ""
