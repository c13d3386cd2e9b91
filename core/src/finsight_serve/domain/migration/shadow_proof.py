"""What the copies of requests say of a destination before anything is moved there."""

from collections.abc import Sequence

from ..figures import Figures
from ..limit import OF_THE_SHADOW, Finding, Limit, check, check_share, exceeds, known, unknown
from ..shadow import ShadowReport

UNLESS_LIMITED = (
    Limit("error_rate", 0.0),
    # Two that sample from the same model end differently in at most half of the pairs, where there are two reasons
    # to end: 1 - (p² + (1-p)²) <= 1/2.
    Limit("other_finish", 0.5),
    # Sums of floats depend on who shares the batch, so that even at temperature 0 two replicas of one model may part
    # ways somewhere in a long text. Another model, or a broken one, parts ways in nearly all.
    Limit("other_text", 0.5),
)
"""What holds in the shadow for a metric for which no limit is given."""


def compared(report: ShadowReport) -> int:
    """Pairs that say something of the destination."""
    return max(0, report.pairs - report.source_failed)


def check_shadow(limits: Sequence[Limit], report: ShadowReport, min_pairs: int) -> tuple[Finding, ...]:
    """One finding for each of `shadow_limits`."""
    return tuple(_check(limit, report, min_pairs) for limit in shadow_limits(limits))


def shadow_limits(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """What copies are judged by: the given ones that they can be, and what holds beside them (`UNLESS_LIMITED`).

    An absolute time is left to the real requests: copies come on top of them, at another load.
    """
    given = {limit.metric for limit in limits}
    # who says how many may fail has said it, as a share or as a count
    covered = given | ({"error_rate"} if "failed" in given else set())
    standing = tuple(limit for limit in UNLESS_LIMITED if limit.metric not in covered)
    return (*(limit for limit in limits if _is_seen(limit)), *standing)


def _is_seen(limit: Limit) -> bool:
    return limit.metric in ("error_rate", "failed", *OF_THE_SHADOW) or (limit.metric == "ttft_p95" and limit.relative)


def _check(limit: Limit, report: ShadowReport, min_pairs: int) -> Finding:
    pairs = compared(report)
    if limit.metric in ("error_rate", "failed"):
        return check(limit, Figures(pairs, report.failed), None, min_pairs)
    if limit.metric == "other_finish":
        return check_share(limit, report.other_finish, pairs, min_pairs, "answers ended differently")
    if limit.metric == "other_text":
        # a tenant may never ask at temperature 0: no number of these is waited for
        is_exceeded = exceeds(limit, report.other_text, report.at_temperature_0, min_pairs)
        return known(
            limit, is_exceeded, f"{report.other_text} of {report.at_temperature_0} texts at temperature 0 differ"
        )
    ratio = report.ttft_p95_ratio
    if ratio is None or pairs < min_pairs:
        return unknown(limit, f"{pairs} of {min_pairs} pairs seen")
    return known(limit, ratio > limit.at_most, f"{ratio:.2f}x of the source")
