"""The search over a toy world whose best policy is known; the real simulator has a test of its own."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.domain import AutoscalingPolicy, Window, market_hours
from finsight_serve.domain.hours import WeeklyHours
from finsight_serve.errors import UserError
from finsight_serve.lab.knobs import knobs, turned, values
from finsight_serve.lab.limits import parse_objective
from finsight_serve.lab.tune import Tuned, kept_out, pareto, tune

METRICS = ("replica_hours", "p99_wait_s")
BASE = AutoscalingPolicy(min_replicas=1, max_replicas=4, target_ongoing_requests=10, smoothing_factor=0.5)
NINE_TO_FOUR = WeeklyHours(start="09:00", end="16:00", timezone="America/New_York")
SCHEDULED = replace(
    BASE,
    schedule=(
        Window(weekly=NINE_TO_FOUR, min_replicas=2),
        market_hours("XNYS", policy=AutoscalingPolicy(min_replicas=2, max_replicas=4)),
    ),
)


def world(policy: AutoscalingPolicy) -> Mapping[str, float]:
    """A low target costs, a high one makes people wait; delays make them wait; nothing else matters."""
    return {
        "replica_hours": 24 + 8 / policy.target_ongoing_requests,
        "p99_wait_s": 0.2 * policy.target_ongoing_requests + policy.upscale_delay_s / 60,
    }


def harder(policy: AutoscalingPolicy) -> Mapping[str, float]:
    return {name: 1.5 * value for name, value in world(policy).items()}


def run(policy: AutoscalingPolicy = BASE, trials: int = 60, seed: int = 1, said: list[str] | None = None) -> Tuned:
    return tune(
        policy,
        parse_objective("min replica_hours s.t. p99_wait_s<=1", METRICS),
        train=world,
        validate=harder,
        max_concurrency=32,
        against="p99_wait_s",
        trials=trials,
        seed=seed,
        report=(said if said is not None else []).append,
    )


def test_it_finds_what_holds_and_is_cheap() -> None:
    assert world(BASE)["p99_wait_s"] > 1
    found = run()
    assert found.chosen.training["p99_wait_s"] <= 1
    assert found.chosen.training["replica_hours"] < 24 + 8 / 3.0  # the best is a target of 5 without delay: 25.6


def test_the_choice_is_judged_on_other_days() -> None:
    found = run()
    assert found.chosen.validation["p99_wait_s"] == pytest.approx(1.5 * found.chosen.training["p99_wait_s"])
    assert found.start.policy == BASE and found.start.training == world(BASE)


def test_validation_decides_nothing() -> None:
    def absurd(policy: AutoscalingPolicy) -> Mapping[str, float]:
        return {"replica_hours": policy.target_ongoing_requests, "p99_wait_s": 1e9}

    other = tune(
        BASE,
        parse_objective("min replica_hours s.t. p99_wait_s<=1", METRICS),
        train=world,
        validate=absurd,
        max_concurrency=32,
        against="p99_wait_s",
        trials=60,
        seed=1,
        report=lambda line: None,
    )
    assert other.chosen.policy == run().chosen.policy


def test_nothing_on_the_front_beats_another() -> None:
    front = run().front
    for one in front:
        for other in front:
            assert one is other or any(one.training[metric] < other.training[metric] for metric in METRICS)
    assert run().chosen in front


def test_one_seed_one_answer() -> None:
    assert run() == run()
    assert run(seed=2).chosen.policy != run().chosen.policy


def test_it_says_how_it_goes() -> None:
    said: list[str] = []
    run(said=said)
    assert said[0] == "as it is: replica_hours 24.8, p99_wait_s 2.5"
    assert said[-1].startswith("judging ")


def test_bounds_are_never_turned() -> None:
    names = {knob.name for knob in knobs(SCHEDULED, max_concurrency=32)}
    assert "min_replicas" not in names and not any(name.endswith("max_replicas") for name in names)
    assert {"schedule.0.lead_s", "schedule.0.min_replicas", "schedule.1.policy.min_replicas"} <= names
    assert "schedule.1.policy.upscale_delay_s" in names


def test_a_measured_lead_stays_measured() -> None:
    window = Window(weekly=NINE_TO_FOUR, min_replicas=2, lead_s="measured")
    turning = knobs(replace(BASE, schedule=(window,)), max_concurrency=32)
    assert "schedule.0.min_replicas" in {knob.name for knob in turning}
    assert "schedule.0.lead_s" not in {knob.name for knob in turning}


def test_what_is_kept_stays() -> None:
    turning = knobs(SCHEDULED, max_concurrency=32)
    left = {knob.name for knob in kept_out(turning, ["schedule.*.min_replicas", "upscale_delay_s"])}
    assert {knob.name for knob in turning} - left == {
        "schedule.0.min_replicas",
        "schedule.1.policy.min_replicas",
        "upscale_delay_s",
    }
    with pytest.raises(UserError, match="--keep delay: no such number is turned"):
        kept_out(turning, ["delay"])
    with pytest.raises(UserError, match="nothing to turn"):
        kept_out(turning, ["*"])


@given(st.data())
def test_every_setting_of_the_knobs_is_a_policy(data: st.DataObject) -> None:
    turning = knobs(SCHEDULED, max_concurrency=32)
    numbers = {}
    for knob in turning:
        if knob.step is None:
            numbers[knob.name] = data.draw(st.floats(knob.low, knob.high))
        else:
            steps = round((knob.high - knob.low) / knob.step)
            numbers[knob.name] = knob.low + knob.step * data.draw(st.integers(0, steps))
    found = turned(SCHEDULED, numbers)
    for knob in turning:
        assert values(found, knob) == pytest.approx(numbers[knob.name], rel=0.01)
    assert (found.min_replicas, found.max_replicas) == (1, 4)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30, unique=True))
def test_the_front_is_what_no_other_beats(points: list[tuple[int, int]]) -> None:
    scores = {
        replace(BASE, upscale_delay_s=index): {"replica_hours": x, "p99_wait_s": y}
        for index, (x, y) in enumerate(points)
    }
    expected = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    front = pareto(scores, METRICS)
    assert {(scores[policy]["replica_hours"], scores[policy]["p99_wait_s"]) for policy in front} == expected
