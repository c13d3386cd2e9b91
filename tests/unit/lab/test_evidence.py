"""What lint shows when it runs a policy: couplings that are known to be bad, through the backends' own loops."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from finsight_serve.domain import AutoscalingPolicy, ServiceLevel
from finsight_serve.host import Host
from finsight_serve.lab.days import evaluator, split_days
from finsight_serve.lab.evidence import check_burst, check_trace, demand_of_trace, make_burst
from finsight_serve.lab.lint import lint
from finsight_serve.lab.service import ServiceModel
from finsight_serve.lab.simulation import simulate
from finsight_serve.lab.trace import Trace
from finsight_serve.plugin import ControlLoop

SERVICE = ServiceModel(service_s=5.0, max_concurrency=10, cold_start_s=60.0)
SOUND = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=10,
    upscale_delay_s=30,
    downscale_delay_s=300,
    smoothing_factor=0.5,
)
DAY_S = 86400.0


@pytest.fixture(scope="module")
def loops() -> Mapping[str, ControlLoop]:
    host = Host()
    found = {name: host.control_loop(name) for name in host.names("orchestrator")}
    return {name: loop for name, loop in found.items() if loop is not None}


@pytest.fixture(scope="module")
def one_loop(loops: Mapping[str, ControlLoop]) -> Mapping[str, ControlLoop]:
    return {"ray": loops["ray"]}


def load(*parts: tuple[float, float, float], days: int = 1) -> Trace:
    """Evenly spread requests: (from, to, requests/s) of each day."""
    one = [np.arange(start_s, end_s, 1 / rate_rps) for start_s, end_s, rate_rps in parts]
    arrival_s = np.sort(np.concatenate([times_s + day * DAY_S for day in range(days) for times_s in one]))
    return Trace("load", arrival_s, 0.0, ((0.0, days * DAY_S),))


def test_the_burst_is_what_it_says() -> None:
    burst = make_burst(SOUND, SERVICE)
    assert (burst.ongoing, burst.needed) == (16.0, 2)
    rate_rps = len(burst.trace) / (burst.trace.arrival_s[-1] - burst.trace.arrival_s[0])
    assert rate_rps * SERVICE.service_s == pytest.approx(burst.ongoing, rel=0.01)


def test_a_replica_that_queues_while_others_start_gets_too_many(one_loop: Mapping[str, ControlLoop]) -> None:
    hasty = replace(SOUND, upscale_delay_s=0, smoothing_factor=1.0)
    (over,) = [one for one in check_burst(hasty, one_loop, SERVICE) if "overshoots" in one.what]
    assert (over.severity, over.field) == ("warning", "upscale_delay_s")
    assert over.evidence.startswith("ray: in a steady burst of 16 ongoing requests 4 replicas were ordered, 2 hold it")


def test_a_factor_beyond_1_is_told_from_a_pile(one_loop: Mapping[str, ControlLoop]) -> None:
    greedy = replace(SOUND, upscaling_factor=4.0, target_ongoing_requests=4)
    (over,) = [one for one in check_burst(greedy, one_loop, SERVICE) if "overshoots" in one.what]
    assert over.field == "upscaling_factor"
    assert "with upscaling_factor 1: 2" in over.evidence


def test_a_target_lowered_alone_swings_and_the_cure_is_shown(one_loop: Mapping[str, ControlLoop]) -> None:
    swinging = replace(SOUND, target_ongoing_requests=2, upscale_delay_s=5, downscale_delay_s=20, look_back_period_s=5)
    bursts = load(*((start_s, start_s + 60, 2.0) for start_s in np.arange(36000, 57600, 180)))
    (found,) = [one for one in check_trace(swinging, one_loop, SERVICE, bursts) if "to and fro" in one.what]
    assert found.severity == "warning"
    before, after = _counts(found.evidence)
    assert after < before / 2


def _counts(evidence: str) -> tuple[int, int]:
    """ "… N times; with …: M" """
    told, _, cure = evidence.partition("; with ")
    return int(told.removesuffix(" times").rpartition(" ")[2]), int(cure.rpartition(": ")[2])


def test_a_promise_that_is_not_kept_is_an_error(one_loop: Mapping[str, ControlLoop]) -> None:
    burst = load((36000, 37800, 6.0))
    promised = replace(SOUND, slo=ServiceLevel(p99_wait_s=1.0))
    (found,) = [one for one in check_trace(promised, one_loop, SERVICE, burst) if one.field == "slo.p99_wait_s"]
    assert found.severity == "error" and "p99 wait" in found.evidence
    calm = load((36000, 37800, 1.0))
    assert not [one for one in check_trace(promised, one_loop, SERVICE, calm) if one.field == "slo.p99_wait_s"]


def test_a_sound_policy_comes_to_rest_on_every_backend(loops: Mapping[str, ControlLoop]) -> None:
    assert set(loops) >= {"ray", "k8s-keda"}
    roomy = replace(SERVICE, max_concurrency=20)
    found = list(check_burst(SOUND, loops, roomy))
    assert [one for one in found if one.severity != "info"] == []


def test_the_worst_comes_first(one_loop: Mapping[str, ControlLoop]) -> None:
    hasty = replace(SOUND, upscale_delay_s=0, smoothing_factor=1.0)
    found = lint(hasty, backends={}, loops=one_loop, service=SERVICE, cold_start_s=60.0, per_day=10_000)
    order = ["error", "warning", "info"]
    assert [one.severity for one in found] == sorted((one.severity for one in found), key=order.index)
    assert found[0].severity == "error"


def test_demand_is_the_busiest_day_and_five_minutes() -> None:
    trace = load((3600, 7200, 0.5), (7200, 7500, 3.0), days=2)
    demand = demand_of_trace(trace)
    assert demand.per_day == pytest.approx(1800 + 900, abs=2)
    assert demand.peak_rps == pytest.approx(3.0, rel=0.01)


def test_days_are_split_and_never_shared() -> None:
    trace = load((3600, 7200, 0.1), days=5)
    assert split_days(trace, None, None).train == (0, 2, 4)
    assert split_days(trace, None, None).validate == (1, 3)
    assert split_days(trace, (1,), None).validate == (0, 2, 3, 4)


def test_of_several_backends_the_worst_counts(loops: Mapping[str, ControlLoop]) -> None:
    trace = load((36000, 37800, 3.0))
    both = evaluator([trace], loops, SERVICE)(SOUND)
    each = [simulate(SOUND, trace, loop, SERVICE) for loop in loops.values()]
    assert both["p99_wait_s"] == max(outcome.p99_wait_s for outcome in each)
    assert both["replica_hours"] == max(outcome.replica_hours for outcome in each)
