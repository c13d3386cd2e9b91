"""What a machine does to a migration: its clock is set back, its disk is full, a new replica does not load there."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .blue_green import ATTENTIVE, DESTINATION, PATIENT, SOURCE, deployment, routed_to, rows, wait_at
from .clocked_stand import ClockedStand
from .moving import migrate, migrations, wait_over, wait_phase, wait_streaming
from .stand import Stand
from .test_refusals import mounted
from .waiting import wait_until

LIMIT = ("--limit", "error_rate<=0%")
GOES_ON = ("--steps", "10,100", "--hold", "1s", "--min-requests", "3", *LIMIT)
WORKERS, TOKENS = 4, 10
BACK_S = 5.0
DISK, FILLER = "size=48m", "filler"


def write(stand: Stand, *more: dict[str, object]) -> None:
    stand.write(
        health=PATIENT, breaker=ATTENTIVE, deployments=[deployment(SOURCE), deployment(DESTINATION), *more]
    )  # fmt: skip


@pytest.fixture
def stepped() -> Iterator[ClockedStand]:
    with closing(ClockedStand("stepped")) as stand:
        write(stand)
        yield stand


def test_the_clock_is_set_back(stepped: ClockedStand) -> None:
    stand = stepped
    stand.serve()
    with stand.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        id = migrate(stand, "default", DESTINATION, *GOES_ON)
        wait_phase(stand, id, "shifting 10")
        stand.move_clock(-BACK_S)
        set_back_s = time.monotonic()
        wait_until(lambda: migrations(stand)[id].step == 1, 60, "it goes on")
        held_s = time.monotonic() - set_back_s
        ended = wait_over(stand, id, 60)
    assert ended.phase == "done", ended.reason
    assert held_s > BACK_S, "until its clock has caught up"
    began = [record.began_s for record in ended.records]
    assert began == sorted(began) and ended.since_s >= began[-1], "no moment lies before an earlier one"
    assert [answer.why for answer in load.not_whole()] == []
    seen = rows(stand, {answer.request_id for answer in load.answers})
    assert {one["outcome"] for one in seen.values()} == {"complete"}


@pytest.fixture
def on_a_small_disk(stand: Stand) -> Iterator[Stand]:
    write(stand)
    with mounted(stand.folder / "disk", DISK) as disk:
        stand.state = disk / "s"
        stand.serve()
        try:
            yield stand
        finally:
            (disk / FILLER).unlink(missing_ok=True)
            assert stand.down().returncode == 0
            stand.state = stand.folder / "s"


def test_the_disk_is_full_for_a_while(on_a_small_disk: Stand) -> None:
    """The ledger grows no more, so nothing is known of the destination, and it holds."""
    stand = on_a_small_disk
    with stand.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        id = migrate(stand, "default", DESTINATION, *GOES_ON)
        wait_phase(stand, id, "shifting 10")
        fill(stand.state.parent / FILLER)
        wait_until(lambda: "the disk is full" in stand.serving.output, 60, "it is told that the disk is full")
        at = migrations(stand)[id]
        asked = len(load.answers)
        wait_until(lambda: len(load.answers) > asked + 20 * WORKERS, 60, "traffic goes on")
        assert migrations(stand)[id] == at, "it holds"
        (stand.state.parent / FILLER).unlink()
        ended = wait_over(stand, id, 90)
        wait_at(stand, DESTINATION)
    assert ended.phase == "done", ended.reason
    assert [answer.why for answer in load.not_whole()] == []


def fill(filler: Path) -> None:
    """The last byte of its disk is taken."""
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while file.write(bytes(4096)):
            continue


def test_a_destination_that_does_not_load_is_given_up(stand: Stand) -> None:
    write(stand)
    stand.serve()
    stand.serving.process.terminate()
    assert stand.serving.wait_ended() == 0
    write(stand, deployment("broken", fail_load="no such checkpoint"))
    stand.start()  # it can never say that all is ready

    def known() -> bool:
        live = stand.live()
        return live is not None and "broken" in [one.name for one in live.deployments]

    wait_until(known, 60, "the controller knows of it")
    with stand.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        id = migrate(stand, "default", "broken", *GOES_ON, "--prepare-deadline", "4s")
        ended = wait_over(stand, id, 30)
    assert (ended.phase, ended.records) == ("failed", ())
    assert "broken never got ready in 4 s (0 of 1 replicas of broken are ready)" in ended.reason
    assert routed_to(stand) == f"{SOURCE} 100 %"
    assert load.answers and [answer.why for answer in load.not_whole()] == []
