"""What people ask of a migration while it runs: to pause, to go on, to go back."""

from dataclasses import replace

import pytest

from finsight_serve.domain.migration import (
    Phase,
    note_version,
    pause,
    request_rollback,
    resume,
    step,
    weights,
)

from .situations import WELL, advanced, asked, at


@pytest.mark.parametrize("phase", ["planned", "preparing", "probing", "shadowing", "shifting", "draining"])
def test_paused_it_stays_where_it_is(phase: Phase) -> None:
    paused = pause(at(phase), 0.0)
    later = advanced(paused, WELL, 1e6)
    assert replace(later, in_force_s=paused.in_force_s) == paused


def test_a_pause_brings_no_deadline_nearer() -> None:
    on = resume(pause(at("preparing"), 100.0), 5000.0)
    assert (on.since_s, on.paused) == (4900.0, False)
    starved = replace(WELL, destination_replicas=0)
    assert step(on, starved, 5799.0).phase == "preparing"
    assert step(on, starved, 5800.0).phase == "failed"


def test_neither_a_pause_nor_an_outage_before_it_brings_a_deadline_nearer() -> None:
    starved = replace(WELL, destination_replicas=0, watched_since_s=1000.0)
    on = resume(pause(at("preparing"), 1010.0), 2000.0, starved.watched_since_s)
    assert step(on, starved, 2889.0).phase == "preparing"
    assert step(on, starved, 2890.0).phase == "failed"


def test_a_pause_is_no_part_of_the_hold() -> None:
    held = replace(at("shifting"), in_force_s=10.0)
    on = resume(pause(held, 30.0), 1000.0)
    assert on.in_force_s == 980.0
    assert advanced(on, WELL, 1039.0).step == 0 and advanced(on, WELL, 1040.0).step == 1


def test_weights_that_came_into_force_in_a_pause_hold_from_its_end() -> None:
    noted = advanced(pause(at("shifting"), 10.0), WELL, 20.0)
    assert noted.in_force_s == 20.0 and resume(noted, 500.0).in_force_s == 500.0


def test_pausing_and_resuming_twice_changes_nothing() -> None:
    shifting = at("shifting")
    paused = pause(shifting, 5.0)
    assert pause(paused, 6.0) is paused and resume(shifting, 6.0) is shifting


def test_a_rollback_can_not_be_paused_and_asking_again_changes_nothing() -> None:
    back = at("rolling_back")
    with pytest.raises(ValueError, match="rolling back, which can't be paused"):
        pause(back, 0.0)
    assert request_rollback(back, "again", 5.0) is back


@pytest.mark.parametrize("phase", ["planned", "preparing", "probing"])
def test_a_rollback_of_nothing_is_over_at_once(phase: Phase) -> None:
    over = request_rollback(pause(at(phase), 0.0), "asked for", 5.0)
    assert (over.phase, over.reason, over.records, over.paused) == (
        "rolled_back",
        "asked for; nothing was moved",
        (),
        False,
    )


@pytest.mark.parametrize("phase", ["shadowing", "shifting", "draining"])
def test_a_rollback_restores_the_old_weights_at_once(phase: Phase) -> None:
    back = request_rollback(at(phase), "asked for", 5.0)
    assert back.phase == "rolling_back" and weights(back) == {"ray": 100}
    assert advanced(note_version(back, 9), WELL, 5.0).phase == "rolled_back"


@pytest.mark.parametrize("phase", ["done", "rolled_back", "failed"])
def test_what_is_over_stays_so(phase: Phase) -> None:
    over = replace(asked(), phase=phase)
    assert step(over, WELL, 1e9) is over
    for order in (lambda: pause(over, 0.0), lambda: resume(over, 0.0), lambda: request_rollback(over, "", 0.0)):
        with pytest.raises(ValueError, match="M1 is over"):
            order()
