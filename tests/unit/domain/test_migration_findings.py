"""What is found at a destination: by limits, and without one."""

from dataclasses import replace
from typing import Any

import pytest

from finsight_serve.domain.figures import Figures
from finsight_serve.domain.limit import parse_limit
from finsight_serve.domain.migration import Phase, explain, step

from .situations import GOOD, WELL, at

DAY = Figures(500, ttft_p50_s=0.2, ttft_p95_s=0.5, newest=500)


def failures(**limits: Any) -> Figures:
    return Figures(220, ttft_p95_s=0.5, **limits)


@pytest.mark.parametrize("phase", ["shifting", "draining"])
@pytest.mark.parametrize("limit", ["error_rate<=1%", "truncated<=9"])
def test_an_answer_that_breaks_off_after_its_step_counts_in_the_next(phase: Phase, limit: str) -> None:
    later = at(phase, limits=(parse_limit(limit),))
    situation = replace(WELL, destination=GOOD, since_first=failures(truncated=10))
    back = step(later, situation, 5.0)
    assert back.phase == "rolling_back"
    assert back.reason.startswith(f"{limit}: 10 of 220 requests") and "since the first step" in back.reason
    fewer = replace(situation, since_first=failures(truncated=2))
    assert step(later, fewer, 5.0).phase != "rolling_back"


def test_what_goes_wrong_in_a_step_is_not_made_up_for_by_those_before() -> None:
    later = at("shifting", limits=(parse_limit("error_rate<=5%"),))
    bad = replace(WELL, destination=Figures(20, failed=2), since_first=Figures(2020, failed=2))
    assert step(later, bad, 5.0).reason.startswith("error_rate<=5%: 2 of 20 requests failed or were truncated: ")


def test_times_are_of_the_step_alone() -> None:
    later = replace(at("shifting", limits=(parse_limit("ttft_p95<=800ms"),)), in_force_s=-60.0)
    situation = replace(WELL, since_first=Figures(500, ttft_p95_s=9.0))
    assert step(later, situation, 0.0).step == 1


@pytest.mark.parametrize(
    ("kind", "what"),
    [("refused", "were refused (4xx)"), ("given_up", "were given up by the client before the first byte")],
)
@pytest.mark.parametrize("phase", ["shifting", "draining"])
def test_answers_of_no_use_to_the_client_roll_back_without_a_limit(phase: Phase, kind: str, what: str) -> None:
    later = replace(at(phase, limits=()), baseline=DAY)
    seen = Figures(100, newest=100, **{kind: 6})
    back = step(later, replace(WELL, destination=seen, since_first=seen, source=None), 5.0)
    assert back.phase == "rolling_back"
    assert back.reason.startswith(f"6 of 100 requests {what}, at the source 0 %: ")


def test_a_tenants_own_mistakes_go_with_it() -> None:
    seen = Figures(100, newest=100, refused=30)
    situation = replace(WELL, destination=seen, since_first=seen)
    careless = replace(at("shifting", limits=()), in_force_s=-60.0, baseline=replace(DAY, refused=70))
    assert step(careless, situation, 0.0).step == 1
    today = replace(situation, source=Figures(60, newest=60, refused=15))
    assert step(replace(careless, baseline=DAY), today, 0.0).step == 1


def test_many_refused_with_nothing_to_compare_with_hold() -> None:
    seen = Figures(100, newest=100, refused=30)
    situation = replace(WELL, destination=seen, since_first=seen, source=Figures())
    shifting = replace(at("shifting", limits=()), in_force_s=-60.0, baseline=Figures(19, newest=19))
    assert step(shifting, situation, 0.0) is shifting
    assert "waits: 30 of 100 requests were refused (4xx), and too little was seen at the source to compare with" in (
        explain(shifting, situation, 0.0)
    )


def test_a_few_refused_are_nothing() -> None:
    seen = Figures(20, newest=20, refused=5, ttft_p95_s=0.5)
    shifting = replace(at("shifting", limits=()), in_force_s=-60.0, baseline=Figures())
    assert step(shifting, replace(WELL, destination=seen, since_first=seen), 0.0).step == 1


def test_what_is_not_known_of_the_destination_holds_and_never_rolls_back() -> None:
    shifting = replace(at("shifting"), in_force_s=-60.0)
    assert step(shifting, replace(WELL, destination=None, since_first=None), 0.0) is shifting


def test_nothing_is_done_while_nobody_knows_what_the_destination_had() -> None:
    draining = replace(at("draining"), in_force_s=-60.0)
    unknown = replace(WELL, destination=None, since_first=None)
    assert step(draining, unknown, 0.0) is draining
    assert step(draining, WELL, 0.0).phase == "done"
    late = step(draining, unknown, 900.0)
    assert (late.phase, late.proof) == ("done", "unproven: after 15 min the ledger gives no figures now")


def test_the_last_step_says_what_it_can_not_judge() -> None:
    last = replace(at("shifting", steps=(100,)), in_force_s=0.0)
    said = "waits: the step holds 1 min more; nobody judges an answer that lasts beyond this step and the draining"
    assert said in explain(last, WELL, 0.0)


@pytest.mark.parametrize("phase", ["shadowing", "shifting", "draining"])
def test_a_destination_that_comes_to_serve_another_model_rolls_back(phase: Phase) -> None:
    moving = replace(at(phase), model="chat")
    assert step(moving, replace(WELL, destination_model="chat"), 0.0).phase != "rolling_back"
    back = step(moving, replace(WELL, destination_model="next"), 0.0)
    assert back.phase == "rolling_back"
    assert back.reason.startswith("east serves next now, and mike's clients ask for chat")


@pytest.mark.parametrize("phase", ["planned", "preparing", "probing"])
def test_before_anything_is_moved_another_model_fails_it(phase: Phase) -> None:
    moving = replace(at(phase), model="chat")
    ended = step(moving, replace(WELL, destination_model="next"), 0.0)
    assert (ended.phase, ended.reason) == (
        "failed",
        "east serves next now, and mike's clients ask for chat; nothing was moved",
    )
