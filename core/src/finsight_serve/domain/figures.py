"""What the ledger says of a deployment's (or one tenant's) requests, added up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Of requests that ended; those turned away at a tenant's limit (429) or closed by the client are left out.

    A request that the client gave up before its first byte is no failure: nobody knows what would have come. But it
    waited, so that it counts in the times to first token with as long as it waited, and in `given_up`.
    """

    requests: int = 0
    failed: int = 0  # status 500 and above: no answer that anyone could use
    truncated: int = 0  # an answer began and was not whole
    failures_in_a_row: int = 0  # the newest ones, failed or truncated
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    since_s: float = 0.0  # none that ended earlier is counted
    newest: int = 0  # so many of the newest, those given up included, say what follows and the times
    refused: int = 0  # of the newest: answered 4xx by a replica
    given_up: int = 0  # of the newest: closed by the client before the first byte

    @property
    def timed(self) -> int:
        """How many the times to first token are of."""
        return self.requests + self.given_up

    @property
    def error_rate(self) -> float | None:
        """Share failed or truncated; None where nothing was asked: no traffic is no proof."""
        return (self.failed + self.truncated) / self.requests if self.requests else None


def nearest_rank(ascending: Sequence[float], share: float) -> float | None:
    """The percentile that was really seen: of so many values, the one at least `share` of all are not above."""
    return ascending[max(1, math.ceil(share * len(ascending))) - 1] if ascending else None
