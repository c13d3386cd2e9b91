"""Where two recordings of a replica count differ, and by which of the known causes. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SYNC_S = 15
"""An HPA decides every 15 s, so a change may come that much later."""
SCRAPE_AND_READY_S = 15
"""What is known of the load is a scrape old, and a formula counts replicas that are ready: with what starts in between,
a decision may be taken one sync later still."""
REPORT_S = 10
"""Ray Serve's replicas report every 10 s, each from its own start."""


@dataclass(frozen=True)
class Disagreement:
    """Seconds in a row in which the counts differed."""

    start_s: int
    end_s: int
    cause: str

    @property
    def seconds(self) -> int:
        return self.end_s - self.start_s


def equal_share(one: Sequence[int], other: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def disagreements(ray: Sequence[int], keda: Sequence[int]) -> Iterator[Disagreement]:
    """Of counts at the same seconds."""
    differs = [a != b for a, b in zip(ray, keda, strict=True)]
    edges = [second for second in range(1, len(differs)) if differs[second] != differs[second - 1]]
    bounds = [0, *edges, len(differs)]
    for start_s, end_s in pairwise(bounds):
        if end_s > start_s and differs[start_s]:
            yield Disagreement(start_s, end_s, _cause(ray, keda, start_s, end_s))


def seconds_by_cause(found: Sequence[Disagreement]) -> Mapping[str, int]:
    sums: Counter[str] = Counter()
    for one in found:
        sums[one.cause] += one.seconds
    return dict(sums.most_common())


def _cause(ray: Sequence[int], keda: Sequence[int], start_s: int, end_s: int) -> str:
    """One that makes the same change later waited; with another count on the way, they knew something else."""
    seconds = end_s - start_s
    before = start_s - 1
    if before < 0 or end_s >= len(ray):
        return "it began or ended within the disagreement"
    way = (_steps(ray[before : end_s + 1]), _steps(keda[before : end_s + 1]))
    if way[0] == way[1]:
        keda_is_late = ray[start_s] != ray[before]
        if keda_is_late:
            return (
                "KEDA waits for the next sync" if seconds <= SYNC_S else "KEDA waits for a sync, a scrape and readiness"
            )
        return (
            "Ray waits for its replicas' reports" if seconds <= REPORT_S else "Ray waits for reports and its look-back"
        )
    if len(way[0]) == 1 or len(way[1]) == 1:
        return "one of them did not move: for its mean of the load the threshold was not passed for long enough"
    return "another count on the way: the steps were taken over other means of the load, or other ready replicas"


def _steps(counts: Sequence[int]) -> list[int]:
    return [count for place, count in enumerate(counts) if place == 0 or count != counts[place - 1]]
