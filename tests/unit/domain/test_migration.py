"""Each phase by example. The property tests beside this file hold for any order of events."""

from dataclasses import replace
from typing import Any

import pytest

from finsight_serve.domain.figures import Figures
from finsight_serve.domain.limit import Limit, parse_limit
from finsight_serve.domain.migration import (
    Migration,
    MigrationRules,
    Phase,
    Situation,
    explain,
    note_version,
    pause,
    request_rollback,
    resume,
    step,
    weights,
)
from finsight_serve.domain.shadow import ShadowReport

LIMITS = (parse_limit("error_rate<=0.1%"), parse_limit("ttft_p95<=1.5x"))
DAY = Figures(requests=500, ttft_p50_s=0.2, ttft_p95_s=0.5)
GOOD = Figures(requests=20, ttft_p50_s=0.2, ttft_p95_s=0.5)
WELL = Situation(
    source_replicas=2,
    destination_replicas=2,
    destination_probed=2,
    destination_ceiling=4,
    is_in_force=True,
    destination=GOOD,
    source=DAY,
    open_at_sources=0,
    open_at_destination=0,
    shadow=ShadowReport(pairs=20, at_temperature_0=20, ttft_p95_ratio=1.0),
)
NOTHING_SEEN = replace(WELL, destination=Figures())


def asked(**rules: Any) -> Migration:
    return Migration("M1", "mike", {"ray": 100}, "east", replace(MigrationRules(limits=LIMITS), **rules))


def advanced(migration: Migration, situation: Situation, now_s: float) -> Migration:
    """Until nothing changes; each new split gets a route table at once."""
    for _ in range(20):
        following = step(migration, situation, now_s)
        if following is migration:
            return migration
        migration = note_version(following, 7 + len(following.records))
    raise AssertionError(f"does not settle: {migration}")


def at(phase: Phase, *, now_s: float = 0.0, **rules: Any) -> Migration:
    """As it stands right after it came there."""
    if phase == "rolling_back":
        return note_version(request_rollback(at("shifting", now_s=now_s, **rules), "asked for", now_s), 9)
    migration = asked(**rules, shadow_percent=5 if phase == "shadowing" else 0)
    for _ in range(50):
        if migration.phase == phase:
            return migration
        migration = note_version(step(migration, WELL, now_s), 7 + len(migration.records))
        if migration.in_force_s is not None:
            migration = replace(migration, in_force_s=now_s - migration.rules.hold_s)
    raise AssertionError(phase)


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
    assert failed.phase == "failed" and failed.reason.startswith("east never got ready in 900 s")
    assert failed.records == () and weights(failed) == {"ray": 100}


@pytest.mark.parametrize(
    "changes",
    [
        {"destination_probed": 1},
        {"destination_failing": 1},
        {"destination_replicas": None},
        {"breaker_is_open": True},
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


def test_the_shadow_decides_whether_anything_is_moved() -> None:
    shadowing = at("shadowing")
    assert weights(shadowing) == {"ray": 100} and shadowing.records == ()
    assert step(shadowing, replace(WELL, shadow=None), 0.0) is shadowing
    assert step(shadowing, WELL, 0.0).phase == "shifting"


@pytest.mark.parametrize(
    ("report", "phase"),
    [
        (ShadowReport(pairs=19, ttft_p95_ratio=1.0), "shadowing"),
        (ShadowReport(pairs=25, source_failed=6, ttft_p95_ratio=1.0), "shadowing"),  # 19 say something
        (ShadowReport(pairs=20), "shadowing"),  # nothing known of its time to first token
        (ShadowReport(pairs=1, failed=1), "rolling_back"),
        (ShadowReport(pairs=20, ttft_p95_ratio=1.6), "rolling_back"),
        (ShadowReport(pairs=19, ttft_p95_ratio=9.0), "shadowing"),
        (ShadowReport(pairs=20, ttft_p95_ratio=1.5, other_finish=10, other_text=10, at_temperature_0=20), "shifting"),
        (ShadowReport(pairs=20, ttft_p95_ratio=1.0, other_finish=11), "rolling_back"),
        (ShadowReport(pairs=11, other_text=11, at_temperature_0=11), "rolling_back"),
        (ShadowReport(pairs=40, ttft_p95_ratio=1.0, other_text=1, at_temperature_0=1), "shifting"),
    ],
)
def test_what_copies_say(report: ShadowReport, phase: Phase) -> None:
    assert step(at("shadowing"), replace(WELL, shadow=report), 0.0).phase == phase


@pytest.mark.parametrize(
    ("limit", "report"),
    [
        ("other_text<=100%", ShadowReport(pairs=20, other_text=20, at_temperature_0=20)),
        ("other_finish<=1", ShadowReport(pairs=20, other_finish=20)),
        ("failed<=2", ShadowReport(pairs=20, failed=2)),
        ("error_rate<=10%", ShadowReport(pairs=20, failed=2)),
    ],
)
def test_a_limit_that_is_given_replaces_the_standing_one(limit: str, report: ShadowReport) -> None:
    situation = replace(WELL, shadow=report)
    assert step(at("shadowing", limits=()), situation, 0.0).phase == "rolling_back"
    assert step(at("shadowing", limits=(parse_limit(limit),)), situation, 0.0).phase == "shifting"


def test_a_shadow_that_proves_nothing_goes_back() -> None:
    situation = replace(WELL, shadow=ShadowReport(pairs=3))
    assert step(at("shadowing"), situation, 21599.0).phase == "shadowing"
    late = step(at("shadowing"), situation, 21600.0)
    assert late.phase == "rolling_back" and "3 of 20 copies compared" in late.reason


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
            "east at 1% had 3 requests, 1 failed, 1 truncated",
        ),
        (
            {"destination": Figures(requests=20, ttft_p95_s=0.76)},
            "ttft_p95<=1.5x: 760 ms, the source 500 ms: east at 1% had 20 requests, 0 failed, 0 truncated",
        ),
        (
            {"breaker_is_open": True},
            "the breaker of east is open: east at 1% had 20 requests, 0 failed, 0 truncated",
        ),
        (
            {"destination_replicas": 0, "destination": None},
            "east has no ready replica: what east at 1% had is not known",
        ),
        (
            {"destination_exists": False},
            "deployment east is gone: east at 1% had 20 requests, 0 failed, 0 truncated",
        ),
        ({"tenant_exists": False}, "tenant mike is gone: east at 1% had 20 requests, 0 failed, 0 truncated"),
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
    assert (late.phase, late.proof) == ("done", "unproven: after 900 s streams still open at its sources: 3")


def test_without_a_count_of_open_streams_it_ends_unproven() -> None:
    blind = replace(WELL, open_at_sources=None, open_at_destination=None)
    assert advanced(at("draining"), blind, 899.0).phase == "draining"
    done = advanced(at("draining"), blind, 900.0)
    assert (done.phase, done.proof) == (
        "done",
        "unproven: after 900 s how many streams are still open at its sources is not known",
    )
    assert advanced(at("rolling_back"), blind, 900.0).proof.startswith("unproven: ")


@pytest.mark.parametrize(
    "changes",
    [{"breaker_is_open": True}, {"destination_replicas": 0}, {"destination": Figures(requests=30, failed=1)}],
)
def test_draining_is_not_too_late_to_go_back(changes: dict[str, Any]) -> None:
    assert step(at("draining"), replace(WELL, **changes), 0.0).phase == "rolling_back"


def test_rolling_back_waits_for_the_destinations_streams() -> None:
    back = at("rolling_back")
    busy = replace(WELL, open_at_destination=2)
    assert advanced(back, busy, 899.0).phase == "rolling_back"
    over = advanced(back, WELL, 5.0)
    assert (over.phase, over.reason, over.proof) == ("rolled_back", "asked for", "")
    assert advanced(back, busy, 900.0).proof == "unproven: after 900 s streams still open at east: 2"


def test_old_weights_that_never_came_into_force_are_not_proved_back() -> None:
    late = advanced(at("rolling_back"), replace(WELL, is_in_force=False), 900.0)
    assert late.phase == "rolled_back" and "has not taken the weights up" in late.proof


@pytest.mark.parametrize("phase", ["shadowing", "shifting"])
def test_with_no_sources_left_it_goes_forward(phase: Phase) -> None:
    alone = replace(NOTHING_SEEN, sources_exist=False, breaker_is_open=True)
    forward = step(at(phase), alone, 5.0)
    assert forward.phase == "draining" and weights(forward) == {"east": 100}
    assert (forward.records[-1].percent, forward.records[-1].began_s) == (100, 5.0)
    done = advanced(note_version(forward, 8), alone, 5.0)
    assert (done.phase, done.proof) == ("done", "unproven: its sources are gone")


def test_with_no_sources_left_draining_goes_on_whatever_the_destination_does() -> None:
    alone = replace(WELL, sources_exist=False, breaker_is_open=True)
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


def test_the_first_number_of_a_split_stays() -> None:
    noted = note_version(at("shifting"), 99)
    assert noted.records[-1].from_version == 7 and note_version(asked(), 5) == asked()


def test_explaining_a_step() -> None:
    shifting = replace(at("shifting"), step=1, in_force_s=100.0, since_s=90.0)
    situation = replace(WELL, destination=Figures(requests=12, ttft_p95_s=0.5))
    assert explain(shifting, situation, 142.0) == (
        "step 2 of 4: 10% of mike's requests go to east",
        "because: all 2 replicas of east answer",
        "waits: the step holds 18 s more",
        "waits: 12 of 20 requests seen at east",
        "waits: error_rate<=0.1%: not known yet, 12 of 20 seen",
        "waits: ttft_p95<=1.5x: not known yet, 12 of 20 requests seen",
        "otherwise rolls back in 21548 s",
    )


def test_explaining_what_holds() -> None:
    lines = explain(replace(at("shifting"), in_force_s=100.0), WELL, 142.0)
    assert lines[-3:-1] == (
        "holds: error_rate<=0.1%: 0 of 20 requests failed or were truncated",
        "holds: ttft_p95<=1.5x: 500 ms, the source 500 ms",
    )


@pytest.mark.parametrize(
    ("phase", "changes", "line"),
    [
        ("planned", {"earlier_waves": "running"}, "waits: the waves before its own (0) are not through"),
        ("preparing", {"destination_replicas": 1}, "waits: 1 of 2 replicas of east are ready"),
        ("preparing", {"destination_replicas": 1}, "otherwise gives up in 890 s"),
        ("probing", {"destination_probed": 1}, "waits: 1 of 2 replicas of east have answered the probe"),
        ("shadowing", {"shadow": None}, "waits: nothing is known of the copies"),
        ("shifting", {"breaker_is_open": True}, "about to roll back: the breaker of east is open"),
        ("draining", {"open_at_sources": 3}, "waits: streams still open at its sources: 3"),
        ("rolling_back", {"open_at_destination": 1}, "waits: streams still open at east: 1"),
        ("rolling_back", {"open_at_destination": 1}, "otherwise counts as rolled back, unproven, in 890 s"),
    ],
)
def test_explaining_what_each_phase_waits_for(phase: Phase, changes: dict[str, Any], line: str) -> None:
    assert line in explain(at(phase), replace(WELL, **changes), 10.0)


@pytest.mark.parametrize(
    "phase", ["planned", "preparing", "probing", "shadowing", "shifting", "draining", "rolling_back"]
)
def test_an_explanation_waits_for_something_exactly_while_nothing_changes(phase: Phase) -> None:
    """What is told to people is what the machine goes by."""
    migration = replace(at(phase), in_force_s=-60.0)
    for situation in (WELL, replace(WELL, is_in_force=False, destination_replicas=None, earlier_waves="running")):
        waits = any(line.startswith("waits: ") for line in explain(migration, situation, 0.0))
        assert waits == (step(migration, situation, 0.0) is migration)


def test_explaining_a_pause_an_end_and_a_controller_that_does_not_run() -> None:
    assert "paused: stays as it is, though limits and the breaker still roll it back" in explain(
        pause(at("shifting"), 0.0), WELL, 0.0
    )
    over = replace(asked(), phase="rolled_back", reason="asked for", proof="40 requests, 0 failed, 0 truncated")
    assert explain(over, None, 0.0) == (
        "rolled back to 100% ray",
        "because: asked for",
        "40 requests, 0 failed, 0 truncated",
    )
    assert explain(at("shifting"), None, 0.0)[-1].startswith("what it waits for is known to the controller alone")


def test_rules_without_limits_still_need_requests_and_a_closed_breaker() -> None:
    free = replace(at("shifting", limits=()), in_force_s=-60.0)
    assert step(free, NOTHING_SEEN, 0.0) is free
    assert step(free, replace(WELL, breaker_is_open=True), 0.0).phase == "rolling_back"
    assert step(free, replace(WELL, destination=Figures(20, failed=20)), 0.0).step == 1


def test_limits_of_the_shadow_are_no_matter_of_the_steps() -> None:
    shifting = replace(at("shifting", limits=(Limit("other_text", 0.1),)), in_force_s=-60.0)
    assert step(shifting, WELL, 0.0).step == 1
