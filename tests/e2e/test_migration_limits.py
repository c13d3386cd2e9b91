"""A destination that is not as good as it should be is left in the first step; how many requests it had is printed."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from finsight_serve.domain.migration import Migration

from .blue_green import (
    ATTENTIVE,
    DESTINATION,
    PATIENT,
    SOURCE,
    begin_attached,
    deployment,
    rows,
    set_faults,
    wait_at,
)
from .conftest import TOUCHED
from .moving import migrate, wait_over, wait_phase, wait_streaming
from .stand import Stand
from .waiting import wait_until

SLOW, SLOW_S = "chat-slow", 0.4
STEPS = ("--steps", "10,50,100", "--hold", "1s", "--min-requests", "6")
WORKERS, TOKENS = 6, 10


@pytest.fixture(scope="module")
def three() -> Iterator[Stand]:
    with closing(Stand("limits")) as stand:
        stand.write(
            health=PATIENT,
            breaker=ATTENTIVE,
            deployments=[deployment(SOURCE), deployment(DESTINATION), deployment(SLOW, ttft_s=SLOW_S)],
        )
        stand.serve()
        with stand.load(workers=WORKERS, tokens=TOKENS, rounds=4) as load:  # what the source is like
            load.join()
        assert load.not_whole() == []
        rows(stand, {answer.request_id for answer in load.answers})
        yield stand


@pytest.fixture
def at_source(three: Stand) -> Iterator[Stand]:
    for name in (SOURCE, DESTINATION):
        set_faults(three, name)
    wait_until(lambda: all(one.health == "ok" for one in three.seen().replicas), 60, "all answer the probe")
    wait_at(three, SOURCE)
    told = len(three.serving.output)
    yield three
    print(three.serving.output[told:])


def breaks(**faults: object) -> Callable[[Stand], None]:
    return lambda stand: set_faults(stand, DESTINATION, **faults)


BAD = {
    "answers 500": (breaks(error_rate=1.0), DESTINATION, "error_rate<=1%"),
    "answers 500 now and then": (breaks(error_rate=0.5), DESTINATION, "failed<=0"),
    "answers wrongly": (breaks(wrong=True), DESTINATION, "error_rate<=1%"),
    "breaks off its streams": (breaks(truncate_after_tokens=4), DESTINATION, "truncated<=0"),
    "ends its streams early": (
        breaks(truncate_after_tokens=4, truncation="silent"), DESTINATION, "error_rate<=1%",
    ),
    "begins late, against the source": (lambda stand: None, SLOW, "ttft_p95<=1.5x"),
}  # fmt: skip


ALIKE = {
    "answers 500 now and then",
    "answers wrongly",
    "ends its streams early",
    "begins late, against the source",
}
FAULTS = [pytest.param(name, marks=pytest.mark.long if name in ALIKE else ()) for name in BAD]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_destination_is_left_in_the_first_step(at_source: Stand, fault: str, pytestconfig: pytest.Config) -> None:
    stand = at_source
    strike, destination, limit = BAD[fault]
    with stand.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        id = migrate(stand, "default", destination, *STEPS, "--limit", limit)
        wait_phase(stand, id, "shifting 10")
        strike(stand)
        ended = wait_over(stand, id, 60)
    assert (ended.phase, ended.step) == ("rolled_back", 0), ended.reason
    found = re.search(rf"^{re.escape(limit)}: .*{destination} at 10 % had (\d+) requests?,", ended.reason)
    assert found and int(found[1]) > 0, ended.reason

    seen = rows(stand, {answer.request_id for answer in load.answers})
    touched = [one for one in seen.values() if one["deployment"] == destination and one["route_version"] in of(ended)]
    lost = [seen[answer.request_id] for answer in load.not_whole()]
    assert int(found[1]) <= len(touched) < len(load.answers) / 2
    assert {one["deployment"] for one in lost} <= {destination}
    assert len(lost) == sum(one["outcome"] in ("failed", "truncated") for one in touched)
    failed, truncated = (sum(one["outcome"] == name for one in touched) for name in ("failed", "truncated"))
    pytestconfig.stash[TOUCHED].append((fault, limit, *map(str, (len(load.answers), len(touched), failed, truncated))))
    assert_whole_at_the_source(stand)


def of(migration: Migration) -> range:
    """The route tables of its first step."""
    first, following = migration.records[:2]
    return range(first.from_version, following.from_version)


def assert_whole_at_the_source(stand: Stand) -> None:
    with stand.load(workers=WORKERS, tokens=TOKENS, rounds=3) as load:
        load.join()
    assert load.not_whole() == []
    seen = rows(stand, {answer.request_id for answer in load.answers})
    assert {seen[answer.request_id]["deployment"] for answer in load.answers} == {SOURCE}


def test_who_watches_is_told_why_and_the_exit_code_is_1(at_source: Stand) -> None:
    with at_source.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        watching, id = begin_attached(at_source, "default", SLOW, *STEPS, "--limit", "ttft_p95<=250ms")
        ended = wait_over(at_source, id, 60)
    said = watching.communicate(timeout=30)[0]
    assert (watching.returncode, ended.phase) == (1, "rolled_back"), said
    assert ended.reason.startswith("ttft_p95<=250ms: ")
    assert ended.reason in said and f"was rolled back from {SLOW}" in said
    assert load.not_whole() == []


def test_one_that_fails_its_probe_is_never_asked_by_clients(at_source: Stand) -> None:
    set_faults(at_source, DESTINATION, error_rate=1.0)
    wait_until(lambda: "wrong" in {one.health[:5] for one in at_source.seen().replicas}, 60, "its probe has failed")
    before = len(rows(at_source))
    with at_source.load(workers=2, tokens=TOKENS) as load:
        wait_streaming(load)
        watching, id = begin_attached(
            at_source, "default", DESTINATION, *STEPS, "--limit", "error_rate<=1%", "--prepare-deadline", "3s"
        )
        ended = wait_over(at_source, id, 30)
    said = watching.communicate(timeout=30)[0]
    assert (watching.returncode, ended.phase, ended.records) == (1, "failed", ()), said
    assert "never got ready in 3 s" in ended.reason and "fail the probe: 1" in ended.reason
    assert load.not_whole() == []
    seen = rows(at_source, {answer.request_id for answer in load.answers})
    assert {one["deployment"] for one in list(seen.values())[before:]} == {SOURCE}
