"""What lint says of policies that are wrong in one way each, and that it is silent about sound ones."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from finsight_serve.domain import AutoscalingPolicy, Window, market_hours
from finsight_serve.domain.hours import WeeklyHours
from finsight_serve.lab.lint import Backend, check_ceiling
from finsight_serve.lab.rules import Demand, Finding, check_capacity, check_numbers, demand_of_day
from finsight_serve.plugin import Ceiling

SOUND = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=10,
    upscale_delay_s=30,
    downscale_delay_s=300,
    smoothing_factor=0.5,
)
NINE_TO_FOUR = WeeklyHours(start="09:00", end="16:00", timezone="America/New_York")
COLD_START_S = 60.0


def findings(policy: AutoscalingPolicy, concurrency: int | None = 16) -> list[Finding]:
    return list(check_numbers(policy, cold_start_s=COLD_START_S, max_concurrency=concurrency))


def scheduled(**window: object) -> AutoscalingPolicy:
    return replace(SOUND, schedule=(Window(weekly=NINE_TO_FOUR, **window),))  # type: ignore[arg-type]


def test_nothing_is_said_of_a_sound_policy() -> None:
    assert findings(SOUND) == []
    assert findings(scheduled(min_replicas=2, lead_s="measured")) == []


def wrong() -> Iterator[tuple[AutoscalingPolicy, str, str]]:
    """A policy, the field that is complained of, and a part of what is said."""
    yield replace(SOUND, smoothing_factor=1.0), "upscale_delay_s", "shorter than the cold start (60 s)"
    yield replace(SOUND, downscale_delay_s=45), "downscale_delay_s", "shorter than the time it takes to come back"
    yield replace(SOUND, look_back_period_s=90), "look_back_period_s", "longer than upscale_delay_s (30 s)"
    yield (
        replace(SOUND, upscale_delay_s=400, look_back_period_s=30),
        "downscale_delay_s",
        "given up faster than taken",
    )
    yield replace(SOUND, target_ongoing_requests=24), "target_ongoing_requests", "more than the 16"
    yield replace(SOUND, min_replicas=0), "min_replicas", "waits out a cold start (60 s)"
    yield scheduled(min_replicas=2), "schedule.0.lead_s", "ready 60 s later"
    yield scheduled(min_replicas=2, lead_s=20), "schedule.0.lead_s", "shorter than the cold start"
    named = replace(SOUND, min_replicas=2, upscaling_factor=0.8)
    yield scheduled(policy=named, lead_s=90), "schedule.0.policy.smoothing_factor", "cover 0.8"
    hasty = replace(SOUND, min_replicas=2, downscale_delay_s=50)
    yield scheduled(policy=hasty, lead_s=90), "schedule.0.policy.downscale_delay_s", "in a lull"


@pytest.mark.parametrize(
    ("policy", "field", "said"), list(wrong()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_one_wrong_number_is_one_finding(policy: AutoscalingPolicy, field: str, said: str) -> None:
    (found,) = findings(policy)
    assert found.field == field
    assert said in found.what


def test_what_was_not_measured_is_not_judged_by() -> None:
    policy = replace(SOUND, target_ongoing_requests=20, downscale_delay_s=45, smoothing_factor=1.0)
    assert list(check_numbers(policy, cold_start_s=None, max_concurrency=None)) == []


def test_a_fixed_count_has_no_couplings() -> None:
    assert findings(replace(SOUND, min_replicas=4, downscale_delay_s=1, target_ongoing_requests=99)) == []


class TestCapacitySum:
    def test_ten_thousand_a_day_do_not_fit_on_four_unmeasured_replicas(self) -> None:
        (found,) = check_capacity(SOUND, demand_of_day(10_000), None)
        assert (found.severity, found.field) == ("error", "max_replicas")
        assert "10,000 requests a day take 10 to 20 replicas" in found.what
        assert "4 replicas do 2,000 to 4,000 a day" in found.evidence

    def test_between_the_two_figures_it_may_fit(self) -> None:
        assert [one.severity for one in check_capacity(SOUND, demand_of_day(3_000), None)] == ["warning"]
        assert list(check_capacity(SOUND, demand_of_day(2_000), None)) == []

    @pytest.mark.parametrize(("measured_rps", "severity"), [(0.1, "info"), (0.05, "error")])
    def test_a_measured_replica_decides(self, measured_rps: float, severity: str) -> None:
        """80 % of 10,000 in 7 hours are 0.317 requests/s: 4 replicas of 0.1 hold it, 4 of 0.05 don't."""
        (found,) = check_capacity(SOUND, demand_of_day(10_000), measured_rps)
        assert found.severity == severity
        assert "0.317 requests/s" in found.evidence

    def test_the_peak_counts_not_the_mean(self) -> None:
        (found,) = check_capacity(SOUND, Demand(10_000, 2.0, "the busiest five minutes of x"), 0.4)
        assert found.what == "is 4: the peak takes 5 replicas"


@pytest.mark.parametrize(("most", "expected"), [(39, []), (40, ["warning"]), (50, ["warning"]), (51, ["error"])])
def test_near_a_ceiling_it_names_where_to_go(most: int, expected: list[str]) -> None:
    backend = Backend("head", Ceiling(50, "one head node"), ("cluster",))
    found = list(check_ceiling(replace(SOUND, max_replicas=most), backend))
    assert [one.severity for one in found] == expected
    assert all("migrate tenants to cluster" in one.what and one.evidence == "one head node" for one in found)


def test_no_ceiling_no_word() -> None:
    assert list(check_ceiling(replace(SOUND, max_replicas=1000), Backend("cluster", None))) == []


def test_the_ceiling_of_an_exchange_window_is_the_policys_own() -> None:
    open_hours = replace(SOUND, schedule=(market_hours("XNYS", min_replicas=2, lead_s=90),))
    assert findings(open_hours) == []
