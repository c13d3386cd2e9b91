"""The formula against cases worked out by hand, and against the algebra of Ray Serve's own function."""

import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve_k8s_keda.formula import decimal, formula, needs_formula, unit

sys.path.insert(0, str(Path(__file__).parent))
from expressions import evaluate, hpa_count

HALF = AutoscalingPolicy(max_replicas=4, smoothing_factor=0.5)


@pytest.mark.parametrize(
    ("queue", "ready", "wanted"),
    [
        # R + 0.5 (T/10 - R), rounded up
        (10, 1, 1),  # as wished
        (11, 1, 2),  # 1 + 0.5 * 0.1 = 1.05
        (30, 1, 2),  # 1 + 0.5 * 2 = 2
        (40, 1, 3),  # 1 + 0.5 * 3 = 2.5
        (40, 2, 3),
        (40, 3, 4),  # 3.5
        (0, 4, 2),  # 4 - 0.5 * 4
        (0, 2, 1),
        (10, 2, 1),  # 2 - 0.5 = 1.5 would be 2, but 1 is due: one less
        (15, 2, 2),  # 1.5 replicas are wished, which is 2
        (29, 4, 3),  # 3.45, wished 3: one less
        (31, 4, 4),  # wished 4
        (0, 1, 0),  # none at all, so that the last one can go
    ],
)
def test_half_the_way(queue: float, ready: int, wanted: int) -> None:
    assert hpa_count(formula(HALF), 10, {"queue": queue, "replicas": ready}) == wanted


@pytest.mark.parametrize(
    ("queue", "ready", "wanted"),
    [
        (20, 1, 3),  # twice the way up: 1 + 2 * 1
        (25, 2, 3),  # 2 + 2 * 0.5
        (0, 4, 3),  # a quarter of the way down: 4 - 1
        (20, 4, 3),  # 4 - 0.5 would be 4, but 2 are due: one less
    ],
)
def test_up_and_down_by_factors_of_their_own(queue: float, ready: int, wanted: int) -> None:
    policy = AutoscalingPolicy(max_replicas=9, upscaling_factor=2, downscaling_factor=0.25)
    assert hpa_count(formula(policy), 10, {"queue": queue, "replicas": ready}) == wanted


@pytest.mark.parametrize(("night", "wanted"), [(0, 2), (2, 2), (3, 3)])
def test_floors_stand_inside(night: float, wanted: int) -> None:
    text = formula(HALF, ["night"])
    assert hpa_count(text, 10, {"queue": 30, "replicas": 1, "night": night}) == wanted


def test_the_record_s_formula_reads_as_it_should() -> None:
    step = "replicas + 0.5 * (queue / 10 - replicas)"
    assert formula(HALF) == f"10 * max(0, (queue / 10 <= replicas - 1 ? min({step}, replicas - 1) : {step}))"


def test_the_target_is_a_whole_number_as_fallback_needs_it() -> None:
    policy = AutoscalingPolicy(max_replicas=4, target_ongoing_requests=2.5, smoothing_factor=0.5)
    assert unit(policy) == 3
    assert hpa_count(formula(policy), 3, {"queue": 5, "replicas": 1}) == 2


def test_a_step_down_never_goes_below_nothing() -> None:
    policy = AutoscalingPolicy(max_replicas=4, downscaling_factor=7)
    assert evaluate(formula(policy), {"queue": 0, "replicas": 2}) == 0


def test_the_whole_way_needs_no_formula() -> None:
    assert not needs_formula(AutoscalingPolicy(max_replicas=4))
    assert needs_formula(AutoscalingPolicy(max_replicas=4, upscaling_factor=2))


@pytest.mark.parametrize(
    ("value", "text"), [(10, "10"), (10.0, "10"), (0.1, "0.1"), (1e-7, "0.0000001"), (1e22, "1" + "0" * 22)]
)
def test_numbers_have_no_exponent(value: float, text: str) -> None:
    assert decimal(value) == text


factors = st.integers(1, 60).map(lambda n: n / 20)


@settings(max_examples=500, deadline=None)
@given(
    queue=st.integers(0, 8000).map(lambda n: n / 8),
    ready=st.integers(1, 50),
    target=st.integers(1, 400).map(lambda n: n / 10),
    up=factors,
    down=factors,
)
def test_it_wants_what_ray_serve_wants(queue: float, ready: int, target: float, up: float, down: float) -> None:
    """The installed Ray's own function, but for values so near a whole number that thousandths hide it."""
    autoscaling = pytest.importorskip("ray.serve.autoscaling_policy", reason="Ray is not installed")
    policy = AutoscalingPolicy(
        max_replicas=99, target_ongoing_requests=target, upscaling_factor=up, downscaling_factor=down
    )
    values = {"queue": queue, "replicas": ready}
    x = Fraction(evaluate(formula(policy), values)) / unit(policy)
    assume(abs(x - round(x)) > Fraction(2, 1000) or x == round(x))
    config = SimpleNamespace(get_upscaling_factor=lambda: up, get_downscaling_factor=lambda: down)
    theirs = autoscaling._apply_scaling_factors(queue / target, ready, config)
    ours = hpa_count(formula(policy), unit(policy), values)
    assert ours == max(0, theirs) or (x == round(x) and abs(ours - max(0, theirs)) <= 1)
