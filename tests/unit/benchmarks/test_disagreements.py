"""What is said of two recordings, against cases made by hand."""

import pytest
from benchmarks.disagreements import Disagreement, disagreements, equal_share, seconds_by_cause


def held(*runs: tuple[int, int]) -> list[int]:
    """(count, seconds)"""
    return [count for count, seconds in runs for _ in range(seconds)]


def test_the_share_of_equal_seconds() -> None:
    assert equal_share(held((1, 50), (2, 50)), held((1, 60), (2, 40))) == 0.9


@pytest.mark.parametrize(
    ("ray", "keda", "cause"),
    [
        (held((1, 50), (2, 50)), held((1, 60), (2, 40)), "KEDA waits for the next sync"),
        (held((1, 30), (2, 70)), held((1, 60), (2, 40)), "KEDA waits for a sync, a scrape and readiness"),
        (held((3, 60), (2, 40)), held((3, 53), (2, 47)), "Ray waits for its replicas' reports"),
        (held((3, 60), (2, 40)), held((3, 40), (2, 60)), "Ray waits for reports and its look-back"),
        (held((1, 50), (3, 5), (4, 45)), held((1, 60), (4, 40)), "another count on the way"),
        (held((1, 50), (2, 50)), held((1, 100)), "it began or ended within the disagreement"),
        (held((1, 50), (2, 10), (1, 40)), held((1, 100)), "one of them did not move"),
    ],
)
def test_each_disagreement_has_a_cause(ray: list[int], keda: list[int], cause: str) -> None:
    (found,) = disagreements(ray, keda)
    assert found.cause.startswith(cause)


def test_equal_recordings_have_none() -> None:
    assert list(disagreements(held((1, 5), (2, 5)), held((1, 5), (2, 5)))) == []


def test_seconds_are_summed_by_cause() -> None:
    found = [Disagreement(0, 3, "a"), Disagreement(5, 6, "b"), Disagreement(9, 10, "a")]
    assert seconds_by_cause(found) == {"a": 4, "b": 1}
