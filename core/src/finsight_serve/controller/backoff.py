"""How long to wait before another try."""


def backoff_s(attempt: int, *, first_s: float = 0.5, most_s: float = 30.0) -> float:
    """Doubles from `first_s` (attempt 1) to `most_s`."""
    return min(most_s, first_s * 2.0 ** min(attempt - 1, 30)) if attempt > 0 else 0.0
