"""What a migration must not exceed: `error_rate<=0.1%`, `ttft_p95<=1.5x`, `ttft_p95<=2s`. Pure."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from ..errors import did_you_mean
from .figures import Figures

Metric = Literal["error_rate", "failed", "truncated", "ttft_p50", "ttft_p95", "other_finish", "other_text"]
Verdict = Literal["ok", "exceeded", "unknown"]

METRICS: tuple[Metric, ...] = get_args(Metric)
SHARES: frozenset[Metric] = frozenset({"error_rate", "other_finish", "other_text"})
COUNTS: frozenset[Metric] = frozenset({"failed", "truncated"})
OF_FAILURES: frozenset[Metric] = frozenset({"error_rate", "failed", "truncated"})
OF_THE_SHADOW: frozenset[Metric] = frozenset({"other_finish", "other_text"})

TIMES_AS_MANY, AND_MORE, FROM_REQUESTS = 2.0, 5, 20
"""Refused or given up may be twice as many as at the sources, and five more; of fewer requests a share is no share.

A tenant's own mistakes go with it, so that only the difference speaks against the destination. More than twice and five
more is hardly chance, at any number of requests: where as many as at the source are to be expected, one of 3,900 draws
(Poisson, at the worst number) has so many.
"""

COMPARISON = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|<|>)\s*(.*?)\s*", re.IGNORECASE)
AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(%|x|ms|s|)")


@dataclass(frozen=True)
class Limit:
    metric: Metric
    at_most: float  # a share, a count, seconds; or, where `relative`, times the source's own figure
    relative: bool = False


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    evidence: str


def split_comparison(text: str) -> tuple[str, str, str] | None:
    """Name, relation (<=, <, >=, >) and what stands behind it; None where it is no comparison."""
    found = COMPARISON.fullmatch(text)
    return (found[1], found[2], found[3]) if found else None


def no_such_metric(name: str, metrics: Sequence[str]) -> str:
    return f"no metric named {name}; there are {', '.join(metrics)}{did_you_mean(name, metrics)}"


def parse_limit(text: str) -> Limit:
    """Raises `ValueError`, whose text says what is wrong and what to write."""
    parts = split_comparison(text)
    if parts is None:
        raise ValueError(f"{text!r} is no limit: write METRIC<=AMOUNT, as error_rate<=0.1% or ttft_p95<=1.5x")
    name, relation, amount = parts
    metric = next((metric for metric in METRICS if metric == name), None)
    if metric is None:
        raise ValueError(f"{text!r}: {no_such_metric(name, METRICS)}")
    if relation != "<=":
        raise ValueError(f"{text!r}: a limit names the most that is let pass: write {metric}<=AMOUNT{_as(metric)}")
    found = AMOUNT.fullmatch(amount)
    limit = _limit(metric, Decimal(found[1]), found[2]) if found else None
    if limit is None or not math.isfinite(limit.at_most):
        raise ValueError(f"{text!r}: {amount or 'nothing'} is no {_kind(metric)}{_as(metric)}")
    return limit


def format_limit(limit: Limit) -> str:
    """As `parse_limit` reads it: the same limit again."""
    exact = Decimal(repr(limit.at_most))
    if limit.metric in SHARES:
        amount = f"{_plain(exact * 100)}%"
    elif limit.metric in COUNTS:
        amount = _plain(exact)
    elif limit.relative:
        amount = f"{_plain(exact)}x"
    else:
        amount = f"{_plain(exact)}s" if exact >= 1 else f"{_plain(exact * 1000)}ms"
    return f"{limit.metric}<={amount}"


def check(limit: Limit, destination: Figures | None, reference: Figures | None, min_requests: int) -> Finding:
    """What the destination's figures say of a limit; `reference` is what a relative one is measured by.

    Failures count before `min_requests` were seen, as soon as no number of good answers among the rest could
    make up for them. A time to first token says nothing before. With `min_requests` 0 nothing need be seen at all.
    """
    if destination is None:
        return unknown(limit, "the ledger gives no figures now")
    if limit.metric in COUNTS:
        count = destination.failed if limit.metric == "failed" else destination.truncated
        return known(limit, count > limit.at_most, f"{count} of {destination.requests} requests")
    if limit.metric == "error_rate":
        bad = destination.failed + destination.truncated
        return check_share(limit, bad, destination.requests, min_requests, "requests failed or were truncated")
    if limit.metric in OF_THE_SHADOW:
        return known(limit, False, "was looked at in the shadow")
    return _check_time(limit, destination, reference, min_requests)


def check_answers(destination: Figures, references: Sequence[Figures]) -> tuple[Finding, ...]:
    """What speaks against a destination without a limit: many more answers of no use to the client than at the sources.

    Of several references, the one with the most of them is gone by; without one, many are neither good nor bad.
    Empty where all is well.
    """
    known_ones = [one for one in references if one.newest >= FROM_REQUESTS]
    kinds = {
        "were refused (4xx)": lambda figures: figures.refused,
        "were given up by the client before the first byte": lambda figures: figures.given_up,
    }
    found = (_check_kind(what, count_of, destination, known_ones) for what, count_of in kinds.items())
    return tuple(finding for finding in found if finding)


def _check_kind(
    what: str, count_of: Callable[[Figures], int], destination: Figures, references: Sequence[Figures]
) -> Finding | None:
    count, of = count_of(destination), destination.newest
    evidence = f"{count} of {of} requests {what}"
    if count <= AND_MORE:
        return None
    if not references:
        return Finding("unknown", f"{evidence}, and too little was seen at the source to compare with")
    share = max(count_of(one) / one.newest for one in references)
    if count <= TIMES_AS_MANY * share * of + AND_MORE:
        return None
    return Finding("exceeded", f"{evidence}, at the source {100 * share:.3g} %")


def check_share(limit: Limit, bad: int, seen: int, min_seen: int, what: str) -> Finding:
    is_exceeded = exceeds(limit, bad, seen, min_seen)
    if seen < min_seen and not is_exceeded:
        return unknown(limit, f"{seen} of {min_seen} seen")
    return known(limit, is_exceeded, f"{bad} of {seen} {what}")


def exceeds(limit: Limit, bad: int, seen: int, min_seen: int) -> bool:
    """Whether a share is too large, even if all of those still to be seen were good.

    The division, unlike a product, is exact where the limit is: 29 of 100 is 29%.
    """
    return bad > 0 and bad / max(min_seen, seen) > limit.at_most


def known(limit: Limit, is_exceeded: bool, evidence: str) -> Finding:
    return Finding("exceeded" if is_exceeded else "ok", f"{format_limit(limit)}: {evidence}")


def unknown(limit: Limit, why: str) -> Finding:
    return Finding("unknown", f"{format_limit(limit)}: not known yet, {why}")


def _check_time(limit: Limit, destination: Figures, reference: Figures | None, min_requests: int) -> Finding:
    found_s = _time_s(limit.metric, destination)
    reference_s = _time_s(limit.metric, reference) if reference else None
    if min_requests == 0 and (found_s is None or (reference_s is None and limit.relative)):
        return known(limit, False, "nothing was asked that could be compared, and no request was waited for")
    if destination.timed < min_requests:
        return unknown(limit, f"{destination.timed} of {min_requests} requests seen")
    if found_s is None:
        return unknown(limit, "no time to first token was seen")
    if not limit.relative:
        return known(limit, found_s > limit.at_most, f"{found_s * 1000:.0f} ms")
    if reference is None or reference_s is None or reference.timed < min_requests:
        seen = reference.timed if reference else 0
        return unknown(limit, f"too little was seen at the source to compare with ({seen} of {min_requests} requests)")
    evidence = f"{found_s * 1000:.0f} ms, the source {reference_s * 1000:.0f} ms"
    return known(limit, found_s > limit.at_most * reference_s, evidence)


def _time_s(metric: Metric, figures: Figures) -> float | None:
    return figures.ttft_p50_s if metric == "ttft_p50" else figures.ttft_p95_s


def _limit(metric: Metric, amount: Decimal, unit: str) -> Limit | None:
    """None where a metric can't be measured so."""
    if metric in SHARES:
        share = amount / 100 if unit == "%" else amount
        return Limit(metric, float(share)) if unit in ("%", "") and share <= 1 else None
    if metric in COUNTS:
        return Limit(metric, float(amount)) if unit == "" and amount == amount.to_integral_value() else None
    if unit not in ("x", "ms", "s") or not amount:
        return None
    return Limit(metric, float(amount / 1000 if unit == "ms" else amount), relative=unit == "x")


def _kind(metric: Metric) -> str:
    if metric in SHARES:
        return "share of the requests (from 0 to 100%)"
    return "number of requests" if metric in COUNTS else "time (above 0, with its unit)"


def _as(metric: Metric) -> str:
    if metric in SHARES:
        return f", as {metric}<=0.1% or {metric}<=0.001"
    return f", as {metric}<=0" if metric in COUNTS else f", as {metric}<=1.5x, {metric}<=800ms or {metric}<=2s"


def _plain(number: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
