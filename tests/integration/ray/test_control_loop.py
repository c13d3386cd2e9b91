"""The lab's Ray loop beside the installed Ray's own functions: the same inputs must give the same counts."""

import os
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ray.serve import autoscaling_policy as ray_policy
from ray.serve._private.autoscaling_metrics_merge import time_weighted_average_arrays
from ray.serve._private.common import TimeStampedValue
from ray.serve._private.metrics_utils import merge_instantaneous_total, time_weighted_average
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve_ray.autoscaler import Delay, RayControlLoop, Signal, decide

SEQUENCES = int(os.environ.get("FS_SEQUENCES", "10000"))
EPOCH_S = 1.8e9


class Tick(NamedTuple):
    after_s: float
    total: float
    ready_gap: int
    """Replicas of the target that do not run yet; below 0: that still run."""


counts = st.integers(0, 12)
ticks = st.lists(
    st.builds(
        Tick,
        st.sampled_from([0.1, 1.0, 1.0, 5.0, 30.0, 299.0, 300.0]),
        st.one_of(st.integers(0, 200).map(float), st.floats(0, 200)),
        st.integers(-3, 3),
    ),
    min_size=1,
    max_size=25,
)


@st.composite
def policies(draw):
    least = draw(counts)
    return AutoscalingPolicy(
        min_replicas=least,
        max_replicas=draw(st.integers(max(1, least), 20)),
        target_ongoing_requests=draw(st.one_of(st.integers(1, 40).map(float), st.floats(0.1, 40))),
        upscale_delay_s=draw(st.sampled_from([0.0, 0.1, 1.0, 30.0, 45.5])),
        downscale_delay_s=draw(st.sampled_from([0.0, 1.0, 60.0, 300.0])),
        smoothing_factor=draw(st.sampled_from([0.3, 0.5, 1.0, 2.0])),
        upscaling_factor=draw(st.sampled_from([None, 0.1, 0.7, 1.5])),
        downscaling_factor=draw(st.sampled_from([None, 0.2, 0.5, 1.0])),
    )


class Rays:
    """Ray's policy as its controller calls it: wrapped, with its state, then clamped."""

    def __init__(self) -> None:
        self._decide = ray_policy._apply_autoscaling_config(ray_policy.default_autoscaling_policy)
        self._state: dict[str, object] = {}

    def step(self, policy: AutoscalingPolicy, now_s: float, total: float, ready: int, target: int) -> int:
        context = AutoscalingContext(
            deployment_id=None,
            deployment_name="chat",
            app_name="chat",
            current_num_replicas=ready,
            target_num_replicas=target,
            running_replicas=[],
            total_num_requests=total,
            total_queued_requests=0.0,
            aggregated_metrics=None,
            raw_metrics=None,
            capacity_adjusted_min_replicas=policy.min_replicas,
            capacity_adjusted_max_replicas=policy.max_replicas,
            policy_state=self._state,
            last_scale_up_time=None,
            last_scale_down_time=None,
            current_time=now_s,
            config=config(policy),
        )
        with patch.object(ray_policy, "time", SimpleNamespace(time=lambda: now_s)):
            count, self._state = self._decide(context)
        return max(policy.min_replicas, min(policy.max_replicas, count))


def config(policy: AutoscalingPolicy) -> AutoscalingConfig:
    names = (
        "min_replicas",
        "max_replicas",
        "target_ongoing_requests",
        "upscale_delay_s",
        "downscale_delay_s",
        "smoothing_factor",
        "upscaling_factor",
        "downscaling_factor",
    )
    return AutoscalingConfig(**{name: getattr(policy, name) for name in names})


@pytest.mark.long
@settings(max_examples=SEQUENCES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.data(), policies(), ticks)
def test_decisions_are_rays_own(data, policy, sequence):
    other = data.draw(policies()) if data.draw(st.booleans()) else policy  # a window's edge in the middle
    rays, delay, now_s = Rays(), Delay(), EPOCH_S
    target = data.draw(st.integers(policy.min_replicas, policy.max_replicas))
    for place, tick in enumerate(sequence):
        holds = policy if place < len(sequence) // 2 else other
        now_s += tick.after_s
        ready = max(0, target - tick.ready_gap)
        expected = rays.step(holds, now_s, tick.total, ready, target)
        assert decide(holds, delay, now_s, tick.total, ready, target) == expected, (place, tick)
        target = expected


@settings(max_examples=500, deadline=None, database=None)
@given(st.lists(st.integers(0, 50), min_size=20, max_size=120), st.sampled_from([10.0, 30.0, 60.0]))
def test_the_mean_is_rays_own_over_the_notes_of_the_last_report(loads, look_back_s):
    signal, notes, report = Signal(1.0), [], []
    every_s = min(0.2 * look_back_s, 10.0)
    for second, load in enumerate(loads):
        now_s = EPOCH_S + second
        if second % every_s == 0:
            notes.append(TimeStampedValue(now_s, float(load)))
        if second % 10 == 0:
            notes = [note for note in notes if note.timestamp > now_s - look_back_s]
            report = list(notes)
        last_s = now_s - report[-1].timestamp
        expected = time_weighted_average(merge_instantaneous_total([report]), last_window_s=last_s or 1e-3)
        assert signal.at(now_s, look_back_s, float(load), 1) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_new_replica_starts_the_mean_anew_with_its_first_report():
    import numpy as np

    signal = Signal(1.0)
    for second in range(60):
        found = signal.at(EPOCH_S + second, 30.0, 20.0 if second < 30 else 4.0, 1 if second < 32 else 2)
        if second < 32:
            continue
        if second < 40:  # it has not reported yet
            assert found > 4
        elif second == 40:
            # notes at 12, 18, 24, 30 and 36; the new replica's first at 32, with the old one's last value before it
            times_s, values = np.array([30.0, 36.0]), np.array([4.0, 4.0])
            assert found == pytest.approx(time_weighted_average_arrays(times_s, values, 32.0, 4.0))


def test_ticks_left_out_change_nothing():
    """What `settled` promises."""
    policy = AutoscalingPolicy(min_replicas=2, max_replicas=4, downscale_delay_s=300, target_ongoing_requests=10)
    lower = AutoscalingPolicy(min_replicas=1, max_replicas=4, downscale_delay_s=300, target_ongoing_requests=10)
    for lowered in range(1000, 1700, 37):
        every, some = RayControlLoop(), RayControlLoop()
        target = fewer = 2
        skipped = False
        for second in range(2100):
            holds = policy if second < lowered else lower
            target = every.step(holds, EPOCH_S + second, 0, target, target)
            if not some.settled or second in (lowered, 2099):
                fewer = some.step(holds, EPOCH_S + second, 0, fewer, fewer)
            else:
                skipped = True
            assert fewer == target, (lowered, second)
        assert skipped
        assert target == 1
