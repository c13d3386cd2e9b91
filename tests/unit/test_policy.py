"""Autoscaling settings of others, Ray's own above all, mean here what they mean there."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from finsight_serve.policy import AutoscalingPolicy, FieldError, as_policy


class Settings(BaseModel):
    min_replicas: int = 1
    max_replicas: int = 3
    target_ongoing_requests: float = 2.0
    smoothing_factor: float = 1.0
    upscale_smoothing_factor: float | None = None
    labels: dict[str, str] = {}


def test_a_policy_is_itself() -> None:
    policy = AutoscalingPolicy(max_replicas=2)
    assert as_policy(policy) is policy


def test_what_is_left_out_means_what_it_means_there() -> None:
    assert as_policy(Settings()) == AutoscalingPolicy(max_replicas=3, target_ongoing_requests=2.0)


def test_a_former_name_counts_where_the_new_one_is_missing() -> None:
    policy = as_policy(Settings(upscale_smoothing_factor=0.25))
    assert (policy.up_factor, policy.down_factor) == (0.25, 1.0)


def test_what_no_policy_can_say_is_refused_by_name() -> None:
    with pytest.raises(FieldError, match=r"^labels: is set, and an AutoscalingPolicy has no such field: leave it out$"):
        as_policy(Settings(labels={"a": "b"}))
    assert as_policy(Settings(labels={})) == as_policy(Settings())


def test_a_field_without_a_default_is_always_set() -> None:
    @dataclass
    class Theirs:
        cluster: str
        min_replicas: int = 1
        max_replicas: int = 3
        target_ongoing_requests: float = 2.0

    with pytest.raises(FieldError, match=r"^cluster: "):
        as_policy(Theirs("east"))


class Loose(BaseModel):
    min_replicas: int = 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"min_replicas": 1}, "a dict"),
        (None, "None"),
        (AutoscalingPolicy, "the class AutoscalingPolicy"),
        (Settings, "the class Settings"),
        (Loose(), "of type Loose"),
        (as_policy, "a function"),
        (3, "of type int"),
    ],
)
def test_what_is_no_policy(value: object, words: str) -> None:
    with pytest.raises(TypeError, match=f"^is {words}.*, not an AutoscalingPolicy$"):
        as_policy(value)


@pytest.fixture(scope="module")
def ray_config() -> Any:
    return pytest.importorskip("ray.serve.config", reason="Ray is not installed")


POSITIVE = st.floats(0.01, 1e4)
SAID = st.fixed_dictionaries(
    {"min_replicas": st.integers(0, 3), "max_replicas": st.integers(3, 9)},
    optional={
        "initial_replicas": st.just(3),
        "target_ongoing_requests": POSITIVE,
        "upscale_delay_s": POSITIVE,
        "downscale_delay_s": POSITIVE,
        "look_back_period_s": st.floats(11, 1e4),
        "smoothing_factor": POSITIVE,
        "upscale_smoothing_factor": st.none() | POSITIVE,
        "downscale_smoothing_factor": st.none() | POSITIVE,
        "upscaling_factor": st.none() | POSITIVE,
        "downscaling_factor": st.none() | POSITIVE,
    },
)
SAME = (
    "min_replicas",
    "max_replicas",
    "initial_replicas",
    "target_ongoing_requests",
    "upscale_delay_s",
    "downscale_delay_s",
    "look_back_period_s",
)


@given(said=SAID)
def test_rays_settings_mean_what_ray_makes_of_them(ray_config: Any, said: dict[str, Any]) -> None:
    theirs = ray_config.AutoscalingConfig(**said)
    ours = as_policy(theirs)
    assert {name: getattr(ours, name) for name in SAME} == {name: getattr(theirs, name) for name in SAME}
    assert (ours.up_factor, ours.down_factor) == (theirs.get_upscaling_factor(), theirs.get_downscaling_factor())


def test_rays_defaults_are_not_ours(ray_config: Any) -> None:
    assert as_policy(ray_config.AutoscalingConfig()) == AutoscalingPolicy(
        min_replicas=1, max_replicas=1, target_ongoing_requests=2, upscale_delay_s=30, downscale_delay_s=600
    )
    everything = ray_config.AutoscalingConfig.default()
    assert as_policy(everything) == replace(as_policy(ray_config.AutoscalingConfig()), max_replicas=100)


def test_a_field_that_ray_drops_means_nothing_here_either(ray_config: Any) -> None:
    """Ray 2.60 has forgotten this name, and ignores what it does not know."""
    theirs = ray_config.AutoscalingConfig(target_num_ongoing_requests_per_replica=7)
    assert as_policy(theirs).target_ongoing_requests == theirs.get_target_ongoing_requests() == 2


@pytest.mark.parametrize(
    "said",
    [
        {"metrics_interval_s": 5.0},
        {"downscale_to_zero_delay_s": 60.0},
        {"aggregation_function": "max"},
        {"policy": {"policy_function": "ray.serve.autoscaling_policy:replica_queue_length_autoscaling_policy"}},
    ],
)
def test_rays_settings_that_no_policy_has_are_refused_by_name(ray_config: Any, said: dict[str, Any]) -> None:
    (name,) = said
    with pytest.raises(FieldError) as caught:
        as_policy(ray_config.AutoscalingConfig(**said))
    assert caught.value.field == name


def test_saying_what_ray_takes_for_granted_changes_nothing(ray_config: Any) -> None:
    said = ray_config.AutoscalingConfig(
        metrics_interval_s=10.0, aggregation_function="mean", downscale_to_zero_delay_s=None
    )
    assert as_policy(said) == as_policy(ray_config.AutoscalingConfig())
