"""Each phase by example. The property tests beside this file hold for any order of events."""

from dataclasses import replace
from typing import Any

import pytest

from finsight_serve.domain.figures import Figures
from finsight_serve.domain.migration import (
    Phase,
    note_version,
    pause,
    step,
    weights,
)

from .situations import DAY, GOOD, NOTHING_SEEN, WELL, advanced, asked, at


def test_all_goes_well() -> None:
    migration, now_s, seen = asked(), 0.0, []
    while migration.phase not in ("done", "rolled_back", "failed"):
        migration = advanced(migration, WELL, now_s)
        seen.append((now_s, migration.phase, dict(weights(migration))))
        now_s += 60.0
    assert seen == [
        (0.0, "shifting", {"ray": 99, "east": 1}),
        (60.0, "shifting", {"ray": 90, "east": 10}),
        (120.0, "shifting", {"ray": 50, "east": 50}),
        (180.0, "shifting", {"east": 100}),
        (240.0, "done", {"east": 100}),
    ]
    assert [(record.percent, record.began_s) for record in migration.records] == [
        (1, 0.0),
        (10, 60.0),
        (50, 120.0),
        (100, 180.0),
    ]
    assert migration.proof == "" and migration.baseline == DAY


def test_it_waits_for_the_waves_before_its_own() -> None:
    running, broken = replace(WELL, earlier_waves="running"), replace(WELL, earlier_waves="broken")
    assert step(asked(), running, 1e9).phase == "planned"
    failed = step(asked(), broken, 0.0)
    assert failed.phase == "failed" and failed.reason.startswith("not started: ")


@pytest.mark.parametrize(("source_replicas", "ceiling", "wanted"), [(0, 4, 1), (3, 4, 3), (6, 4, 4), (3, 0, 1)])
def test_the_destination_gets_the_sources_count_as_far_as_its_policy_allows(
    source_replicas: int, ceiling: int, wanted: int
) -> None:
    situation = replace(WELL, source_replicas=source_replicas, destination_ceiling=ceiling)
    preparing = step(asked(), situation, 0.0)
    assert (preparing.phase, preparing.prescale_replicas) == ("preparing", wanted)
    assert ("allows no more" in preparing.reason) == (source_replicas > ceiling)


def test_a_ceiling_lowered_meanwhile_is_enough() -> None:
    preparing = replace(at("preparing"), prescale_replicas=4)
    assert step(preparing, replace(WELL, destination_replicas=2, destination_ceiling=2), 0.0).phase == "probing"


@pytest.mark.parametrize("replicas", [None, 0, 1])
def test_a_destination_that_never_gets_ready(replicas: int | None) -> None:
    situation = replace(WELL, destination_replicas=replicas)
    assert step(at("preparing"), situation, 899.0).phase == "preparing"
    failed = step(at("preparing"), situation, 900.0)
    assert failed.phase == "failed" and failed.reason.startswith("east never got ready in 15 min")
    assert failed.records == () and weights(failed) == {"ray": 100}


@pytest.mark.parametrize(
    "changes",
    [
        {"destination_probed": 1},
        {"destination_failing": 1},
        {"destination_replicas": None},
        {"breaker": "open"},
        {"source": None},
    ],
)
def test_nothing_is_moved_before_every_replica_answers_and_figures_are_there(changes: dict[str, Any]) -> None:
    situation = replace(WELL, **changes)
    assert step(at("probing"), situation, 899.0).phase == "probing"
    assert step(at("probing"), situation, 900.0).phase == "failed"


def test_preparing_and_probing_share_one_deadline() -> None:
    ready = step(at("preparing"), WELL, 700.0)
    assert (ready.phase, ready.since_s) == ("probing", 0.0)
    few = replace(WELL, destination_replicas=1, destination_probed=1)
    fallen_back = step(at("probing"), few, 800.0)
    assert (fallen_back.phase, fallen_back.since_s) == ("preparing", 0.0)
    assert step(fallen_back, few, 900.0).phase == "failed"


@pytest.mark.parametrize("phase", ["planned", "preparing", "probing"])
@pytest.mark.parametrize("gone", ["tenant_exists", "destination_exists"])
def test_what_is_gone_before_anything_was_moved_fails(phase: Phase, gone: str) -> None:
    failed = step(at(phase), replace(WELL, **{gone: False}), 0.0)
    assert failed.phase == "failed" and "is gone; nothing was moved" in failed.reason


def test_a_step_counts_from_its_weights_being_in_force() -> None:
    shifting = at("shifting")
    assert advanced(shifting, replace(WELL, is_in_force=False), 1000.0) is shifting
    noted = step(shifting, WELL, 1000.0)
    assert (noted.step, noted.in_force_s) == (0, 1000.0)
    assert advanced(noted, WELL, 1059.0) is noted
    assert advanced(noted, WELL, 1060.0).step == 1


def test_a_step_without_a_table_of_its_own_is_proved_by_nothing_old() -> None:
    fresh = step(replace(at("shifting", hold_s=0.0), in_force_s=0.0), WELL, 0.0)
    assert (fresh.step, fresh.records[-1].from_version) == (1, 0)
    assert step(fresh, WELL, 0.0) is fresh
    assert step(fresh, replace(WELL, destination=Figures(requests=20, failed=20)), 0.0) is fresh


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": None},
        {"destination": Figures(requests=19, ttft_p95_s=0.5)},
        {"destination": Figures(requests=500)},
        {"destination_replicas": None},
        {"is_in_force": False},
    ],
)
def test_a_step_that_can_not_be_judged_holds_and_then_goes_back(changes: dict[str, Any]) -> None:
    shifting, situation = replace(at("shifting"), in_force_s=0.0), replace(WELL, **changes)
    assert advanced(shifting, situation, 21599.0) is shifting
    assert step(shifting, situation, 21600.0).phase == "rolling_back"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"destination": Figures(requests=3, failed=1, truncated=1)},
            "error_rate<=0.1%: 2 of 3 requests failed or were truncated: "
            "east at 1 % had 3 requests, 1 failed, 1 truncated",
        ),
        (
            {"destination": Figures(requests=20, ttft_p95_s=0.76)},
            "ttft_p95<=1.5x: 760 ms, the source 500 ms: east at 1 % had 20 requests, 0 failed, 0 truncated",
        ),
        (
            {"breaker": "open"},
            "the breaker of east is open: east at 1 % had 20 requests, 0 failed, 0 truncated",
        ),
        (
            {"destination_replicas": 0, "destination": None},
            "east has no ready replica: what east at 1 % had is not known",
        ),
        (
            {"destination_exists": False},
            "deployment east is gone: east at 1 % had 20 requests, 0 failed, 0 truncated",
        ),
        ({"tenant_exists": False}, "tenant mike is gone: east at 1 % had 20 requests, 0 failed, 0 truncated"),
    ],
)
@pytest.mark.parametrize("paused", [False, True])
def test_what_rolls_a_step_back_says_what_the_destination_had(
    changes: dict[str, Any], reason: str, paused: bool
) -> None:
    shifting = at("shifting")
    back = step(pause(shifting, 0.0) if paused else shifting, replace(WELL, **changes), 5.0)
    assert (back.phase, back.reason, back.paused) == ("rolling_back", reason, False)
    assert (back.records[-1].percent, back.records[-1].began_s) == (0, 5.0)
    assert weights(back) == {"ray": 100}


def test_what_the_sources_showed_is_kept_where_the_last_day_says_too_little() -> None:
    quiet = replace(at("shifting"), baseline=Figures(requests=3, ttft_p95_s=9.0), in_force_s=-60.0)
    assert step(quiet, replace(WELL, source=Figures(requests=3, ttft_p95_s=0.1)), 0.0) is quiet
    proved = step(quiet, replace(WELL, source=GOOD), 0.0)
    assert (proved.step, proved.baseline) == (1, GOOD)


def test_the_last_day_is_not_given_up_for_even_less() -> None:
    quiet = replace(at("shifting", limits=()), baseline=Figures(requests=3), in_force_s=-60.0)
    assert step(quiet, replace(WELL, source=Figures(requests=1)), 0.0).baseline == Figures(requests=3)


def test_draining_waits_for_the_sources_streams() -> None:
    draining = at("draining")
    assert weights(draining) == {"east": 100} and [r.percent for r in draining.records] == [1, 10, 50, 100]
    busy = replace(WELL, open_at_sources=3)
    waiting = advanced(draining, busy, 899.0)
    assert waiting.phase == "draining"
    assert step(waiting, WELL, 899.0).phase == "done"
    late = step(waiting, busy, 900.0)
    assert (late.phase, late.proof) == ("done", "unproven: after 15 min streams still open at its sources: 3")


def test_without_a_count_of_open_streams_it_ends_unproven() -> None:
    blind = replace(WELL, open_at_sources=None, open_at_destination=None)
    assert advanced(at("draining"), blind, 899.0).phase == "draining"
    done = advanced(at("draining"), blind, 900.0)
    assert (done.phase, done.proof) == (
        "done",
        "unproven: after 15 min how many streams are still open at its sources is not known",
    )
    assert advanced(at("rolling_back"), blind, 900.0).proof.startswith("unproven: ")


@pytest.mark.parametrize(
    "changes",
    [{"breaker": "open"}, {"destination_replicas": 0}, {"destination": Figures(requests=30, failed=1)}],
)
def test_draining_is_not_too_late_to_go_back(changes: dict[str, Any]) -> None:
    assert step(at("draining"), replace(WELL, **changes), 0.0).phase == "rolling_back"


def test_rolling_back_waits_for_the_destinations_streams() -> None:
    back = at("rolling_back")
    busy = replace(WELL, open_at_destination=2)
    assert advanced(back, busy, 899.0).phase == "rolling_back"
    over = advanced(back, WELL, 5.0)
    assert (over.phase, over.reason, over.proof) == ("rolled_back", "asked for", "")
    assert advanced(back, busy, 900.0).proof == "unproven: after 15 min streams still open at east: 2"


def test_old_weights_that_never_came_into_force_are_not_proved_back() -> None:
    late = advanced(at("rolling_back"), replace(WELL, is_in_force=False), 900.0)
    assert late.phase == "rolled_back" and "has not taken the weights up" in late.proof


@pytest.mark.parametrize("phase", ["shadowing", "shifting"])
def test_with_no_sources_left_it_goes_forward(phase: Phase) -> None:
    alone = replace(NOTHING_SEEN, sources_exist=False, breaker="open")
    forward = step(at(phase), alone, 5.0)
    assert forward.phase == "draining" and weights(forward) == {"east": 100}
    assert (forward.records[-1].percent, forward.records[-1].began_s) == (100, 5.0)
    done = advanced(note_version(forward, 8), alone, 5.0)
    assert (done.phase, done.proof) == ("done", "unproven: its sources are gone")


def test_with_no_sources_left_draining_goes_on_whatever_the_destination_does() -> None:
    alone = replace(WELL, sources_exist=False, breaker="open")
    assert advanced(at("draining"), alone, 5.0).phase == "done"
    busy = replace(alone, open_at_sources=1)
    assert advanced(at("draining"), busy, 5.0).phase == "draining"
    last = replace(at("shifting", steps=(100,)), in_force_s=0.0)
    assert len(step(last, alone, 5.0).records) == 1  # its weights are what they were


def test_a_rollback_does_not_go_back_into_nothing() -> None:
    stays = step(at("rolling_back"), replace(WELL, sources_exist=False), 0.0)
    assert stays.phase == "done" and weights(stays) == {"east": 100}
    assert "asked for" in stays.reason and stays.proof.startswith("unproven")
    neither = replace(WELL, sources_exist=False, destination_exists=False)
    assert advanced(at("rolling_back"), neither, 0.0).phase == "rolled_back"


COMING_UP = replace(WELL, watched_since_s=None, destination_replicas=0)


@pytest.mark.parametrize("phase", ["planned", "preparing", "shadowing", "shifting", "draining"])
def test_while_the_stack_comes_up_nothing_goes_forward_and_no_deadline_ends(phase: Phase) -> None:
    """Not even where the destination has no replicas yet."""
    waiting = advanced(at(phase), COMING_UP, 1e9)
    assert (waiting.phase, waiting.step) == (phase, 0 if phase != "draining" else 3)


@pytest.mark.parametrize("phase", ["shifting", "draining"])
@pytest.mark.parametrize(
    "changes", [{"breaker": "open"}, {"destination": Figures(requests=30, failed=1)}, {"destination_exists": False}]
)
def test_while_the_stack_comes_up_it_still_goes_back(phase: Phase, changes: dict[str, Any]) -> None:
    assert step(at(phase), replace(COMING_UP, **changes), 0.0).phase == "rolling_back"


def test_a_rollback_ends_while_the_stack_comes_up() -> None:
    assert advanced(at("rolling_back"), COMING_UP, 5.0).phase == "rolled_back"


@pytest.mark.parametrize(
    ("phase", "blocked", "deadline_s", "ends"),
    [
        ("preparing", {"destination_replicas": None}, 900.0, "failed"),
        ("probing", {"destination_probed": 0}, 900.0, "failed"),
        ("shadowing", {"shadow": None}, 21600.0, "rolling_back"),
        ("shifting", {"destination": None}, 21600.0, "rolling_back"),
        ("draining", {"open_at_sources": None}, 900.0, "done"),
        ("rolling_back", {"open_at_destination": None}, 900.0, "rolled_back"),
    ],
)
def test_what_nobody_watched_counts_for_no_deadline(
    phase: Phase, blocked: dict[str, Any], deadline_s: float, ends: Phase
) -> None:
    back_s = 1e6  # an outage of the controller's until then
    situation = replace(WELL, watched_since_s=back_s, **blocked)
    assert advanced(at(phase), situation, back_s + deadline_s - 1).phase == phase
    assert step(advanced(at(phase), situation, back_s), situation, back_s + deadline_s).phase == ends


def test_what_nobody_watched_holds_no_step() -> None:
    shifting = replace(at("shifting"), in_force_s=0.0)
    back = replace(WELL, watched_since_s=1000.0)
    assert advanced(shifting, back, 1059.0) is shifting
    assert advanced(shifting, back, 1060.0).step == 1


def test_a_half_open_destination_proves_nothing() -> None:
    """A step of 100 % that got 10 % of it is no proof of 100 %."""
    tried = replace(WELL, breaker="half_open")
    assert advanced(at("probing"), tried, 899.0).phase == "probing"
    shifting = replace(at("shifting"), in_force_s=-60.0)
    assert step(shifting, tried, 0.0) is shifting
    assert step(shifting, WELL, 0.0).step == 1


def test_rolling_back_does_not_wait_for_what_its_sources_can_not_take() -> None:
    spilt = replace(WELL, sources_take_all=False, open_at_destination=7)
    over = advanced(at("rolling_back"), spilt, 5.0)
    assert over.phase == "rolled_back" and over.reason == f"asked for; {over.proof}"
    assert over.proof == "unproven: no source takes its whole share now, so that requests still go to others"


def test_rolling_back_does_not_wait_for_streams_of_a_destination_that_is_a_source_too() -> None:
    shared = replace(at("rolling_back"), source={"ray": 50, "east": 50})
    over = advanced(shared, replace(WELL, open_at_destination=7), 5.0)
    assert (over.phase, over.proof) == ("rolled_back", "")


def test_the_first_number_of_a_split_stays() -> None:
    noted = note_version(at("shifting"), 99)
    assert noted.records[-1].from_version == 7 and note_version(asked(), 5) == asked()


def test_rules_without_limits_still_need_requests_and_a_closed_breaker() -> None:
    free = replace(at("shifting", limits=()), in_force_s=-60.0)
    assert step(free, NOTHING_SEEN, 0.0) is free
    assert step(free, replace(WELL, breaker="open"), 0.0).phase == "rolling_back"
    assert step(free, replace(WELL, destination=Figures(20, failed=20)), 0.0).step == 1
