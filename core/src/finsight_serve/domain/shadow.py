"""What came of asking source and destination the same: the same answer, as fast?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShadowReport:
    """Counts of pairs: each copied request was asked of a source and of a destination replica at the same time.

    An answer has failed if it is not a 2xx with its end, which an answer to a client's own mistake isn't either. A
    pair whose source failed says nothing of the destination and counts as `source_failed` alone. The ratios are None
    until a pair had two whole answers.
    """

    pairs: int = 0  # both ended, whatever came of them
    source_failed: int = 0
    failed: int = 0  # the destination failed or broke off where the source did not
    other_finish: int = 0  # finish reasons differ
    other_text: int = 0  # of those asked at temperature 0, texts differ
    at_temperature_0: int = 0
    ttft_p95_ratio: float | None = None  # destination's over source's
    tokens_per_s_ratio: float | None = None  # of the medians, destination's over source's
    dropped: int = 0  # copies that were asked of nobody: too many at once, too large, no replica, nothing to compare
