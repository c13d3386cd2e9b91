import pytest

from finsight_serve.domain import AutoscalingPolicy, FieldError, WeeklyHours, Window


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"min_replicas": -1}, "min_replicas", "must be at least 0, found -1"),
        ({"upscale_delay_s": -0.5}, "upscale_delay_s", "must be at least 0, found -0.5"),
        ({"max_replicas": 0, "min_replicas": 0}, "max_replicas", "must be greater than 0, found 0"),
        ({"target_ongoing_requests": 0}, "target_ongoing_requests", "must be greater than 0, found 0"),
        ({"smoothing_factor": 0}, "smoothing_factor", "must be greater than 0, found 0"),
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas", "must be at least min_replicas (3), found 2"),
        (
            {"max_replicas": 4, "initial_replicas": 5},
            "initial_replicas",
            "must be from min_replicas (1) to max_replicas (4), found 5",
        ),
    ],
)
def test_a_senseless_value_names_its_field(changes: dict[str, float], field: str, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        AutoscalingPolicy(**changes)
    assert (caught.value.field, caught.value.message) == (field, message)


def test_the_records_policy_is_valid() -> None:
    policy = AutoscalingPolicy(
        min_replicas=1,
        max_replicas=4,
        target_ongoing_requests=10,
        upscale_delay_s=30,
        downscale_delay_s=300,
        smoothing_factor=0.5,
    )
    assert policy.max_replicas == 4


@pytest.mark.parametrize("lead_s", [-1.0, 86401.0, float("inf"), float("nan")])
def test_a_lead_that_no_start_takes_is_refused(lead_s: float) -> None:
    hours = WeeklyHours(start="09:00", end="16:00", timezone="UTC")
    with pytest.raises(FieldError, match=r"^lead_s: must be from 0 to 86400, or measured, found "):
        Window(weekly=hours, min_replicas=2, lead_s=lead_s)


def test_digits_of_another_script_are_no_time_of_day() -> None:
    with pytest.raises(FieldError, match=r"^start: must be a time of day"):
        WeeklyHours(start="0\N{ARABIC-INDIC DIGIT NINE}:00", end="16:00", timezone="UTC")
