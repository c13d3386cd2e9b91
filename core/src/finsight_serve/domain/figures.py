"""What the ledger says of a deployment's (or one tenant's) requests, added up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Of requests that ended; those turned away at a tenant's limit (429) or given up by the client are left out."""

    requests: int = 0
    failed: int = 0  # status 500 and above: no answer that anyone could use
    truncated: int = 0  # an answer began and was not whole
    failures_in_a_row: int = 0  # the newest ones, failed or truncated
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    completion_tokens: int = 0
    since_s: float = 0.0  # none that ended earlier is counted

    @property
    def error_rate(self) -> float | None:
        """Share failed or truncated; None where nothing was asked: no traffic is no proof."""
        return (self.failed + self.truncated) / self.requests if self.requests else None
