"""The lab's HPA against cases worked by hand from the algorithm that Kubernetes publishes."""

from dataclasses import replace

import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve_k8s_keda.autoscaler import KedaControlLoop, gain
from finsight_serve_k8s_keda.hpa import Recommendation, limit, recommend, stabilize
from finsight_serve_k8s_keda.options import Options

POLICY = AutoscalingPolicy(min_replicas=1, max_replicas=4, target_ongoing_requests=10)


@pytest.mark.parametrize(
    ("metric", "target", "pods", "wanted"),
    [
        (0, 10, 1, 0),  # nothing to do; the bounds come later
        (10, 10, 1, 1),  # ratio 1
        (11, 10, 1, 1),  # ratio 1.1: within the tolerance, its edge included
        (11.01, 10, 1, 2),  # ratio 1.101: ceil(1.101)
        (9, 10, 1, 1),  # ratio 0.9, the other edge
        (8.99, 10, 1, 1),  # beyond it, and ceil(0.899) is 1 all the same
        (18, 10, 2, 2),  # ratio 0.9
        (17.9, 10, 2, 2),  # ceil(1.79)
        (10, 10, 2, 1),  # ratio 0.5
        (22, 10, 2, 2),  # ratio 1.1
        (22.1, 10, 2, 3),
        (43, 10, 4, 4),  # ratio 1.075: ceil(4.3) would be 5
        (35, 10, 4, 4),  # ratio 0.875: ceil(3.5)
        (100, 10, 1, 10),  # the whole way at once; the bounds come later
        (10.0009, 10, 1, 1),  # quantities end at thousandths
        (30, 10, 0, 3),  # no pod, no ratio
    ],
)
def test_what_the_metric_asks_for(metric, target, pods, wanted):
    assert recommend(metric, target, pods) == wanted


def test_without_tolerance_every_distance_counts():
    assert recommend(10.01, 10, 1, tolerance=0.0) == 2
    assert recommend(10, 10, 1, tolerance=0.0) == 1


@pytest.mark.parametrize(
    ("wanted", "current", "before", "result"),
    [
        (3, 1, [], 3),  # no history
        (3, 1, [(15, 1)], 1),  # the least of the last 30 s
        (3, 1, [(15, 2)], 2),
        (3, 1, [(29.9, 1)], 1),
        (3, 1, [(30, 1)], 3),  # as old as the window is too old
        (4, 2, [(15, 3), (10, 4)], 3),
        (1, 3, [(15, 3)], 3),  # the most of the last 300 s
        (1, 3, [(299, 2)], 2),
        (1, 3, [(300, 3)], 1),
        (1, 3, [(200, 4)], 3),  # never up by looking back for a way down
        (4, 2, [(15, 1)], 2),  # nor down by looking back for a way up
    ],
)
def test_stabilization(wanted, current, before, result):
    history = [Recommendation(1000 - age_s, replicas) for age_s, replicas in before]
    assert stabilize(wanted, current, 1000, history, 30, 300) == result


@pytest.mark.parametrize(
    ("wanted", "current", "added", "removed", "per_period", "result"),
    [
        (9, 2, 0, 0, 4, 6),  # 4 pods per period
        (9, 6, 4, 0, 4, 6),  # this period's are used up
        (9, 6, 1, 0, 4, 9),  # 5 at the period's start, 9 allowed
        (20, 2, 0, 0, 40, 10),  # the ceiling
        (1, 8, 0, 0, 4, 4),
        (1, 4, 0, 4, 4, 4),
        (0, 3, 0, 0, 4, 1),  # the floor
        (5, 5, 3, 0, 1, 5),
    ],
)
def test_behavior_policies_and_bounds(wanted, current, added, removed, per_period, result):
    assert limit(wanted, current, 1, 10, added, removed, per_period=per_period) == result


@pytest.mark.parametrize(
    ("load", "ready", "wanted"),
    [
        (20, 1, 2),  # 1 + 0.5 * (2 - 1) = 1.5
        (40, 1, 3),  # 2.5
        (10, 1, 1),
        (0, 1, 0),  # a step down that is due is taken
        (15, 2, 2),  # 1.75
        (10, 2, 1),  # 1.5 would round to no step, and one is due
    ],
)
def test_the_gain(load, ready, wanted):
    policy = AutoscalingPolicy(max_replicas=9, target_ongoing_requests=10, smoothing_factor=0.5)
    assert recommend(gain(policy, load, ready), 10, 99, tolerance=0.0) == wanted


class Run:
    """A loop under a load, every pod ready at once, unless said otherwise."""

    def __init__(self, policy=POLICY, target=1, options=None):
        self.loop, self.policy, self.target = KedaControlLoop(options), policy, target
        self.tick, self.changes = 0, []

    def go(self, seconds, load, ready=None):
        end = self.tick + round(seconds / self.loop.period_s)
        while self.tick < end:
            now_s = self.tick * self.loop.period_s
            found = self.loop.step(self.policy, now_s, load, self.target if ready is None else ready, self.target)
            if found != self.target:
                self.target = found
                self.changes.append((now_s, found))
            self.tick += 1
        return self


def test_up_after_the_metric_is_known_and_the_window_has_passed():
    run = Run().go(60, 5).go(120, 25)
    # the load rises at 60; samples are 15 and 30 s old, so the mean is (5 + 25) / 2 at 75 and 25 at 90: it asks for 2,
    # then for 3; and 1 was last asked for at 60, which is less than 30 s ago until 90
    assert run.changes == [(90, 2), (105, 3)]


def test_down_after_the_window():
    run = Run(target=3).go(60, 25).go(420, 5)
    # at 75 the mean is 15, so 2; 3 was last asked for at 60, and is 300 s old at 360; at 90 it is 5, so 1
    assert run.changes == [(360, 2), (375, 1)]


@pytest.mark.parametrize(
    ("scrape_interval_s", "expected_s"), [(60, 7.5), (15, 7.5), (10, 7.5), (5, 5), (4, 3.75), (2, 1.875), (1, 1)]
)
def test_it_looks_as_often_as_prometheus_does(scrape_interval_s, expected_s):
    options = Options(scrape_interval_s=scrape_interval_s)
    assert KedaControlLoop(options).period_s == expected_s
    syncs = Run(replace(POLICY, upscale_delay_s=0), options=options).go(60, 5).go(60, 100).changes
    assert syncs and all(at_s % 15 == 0 for at_s, _ in syncs)


def test_a_rise_between_two_looks_counts_from_when_it_came():
    run = Run(replace(POLICY, upscale_delay_s=0), options=Options(scrape_interval_s=2)).go(63.75, 5).go(60, 25)
    # at 75 the samples of 73, 71, 69, 67 and 65 know of it, ten do not: the mean is 11.7, and 25 at 90
    assert run.changes == [(75, 2), (90, 3)]


def test_at_most_one_sync_each_fifteen_seconds():
    policy = AutoscalingPolicy(min_replicas=1, max_replicas=40, upscale_delay_s=0, look_back_period_s=15)
    run = Run(policy).go(30, 5)
    for load in range(10, 310, 10):
        run.go(7.5, load)
    assert len(run.changes) > 10
    assert all(at_s % 15 == 0 for at_s, _ in run.changes)


def test_a_raised_floor_and_a_lowered_ceiling_act_at_the_next_sync():
    run = Run().go(60, 0)
    run.policy = AutoscalingPolicy(min_replicas=2, max_replicas=4, target_ongoing_requests=10)
    run.go(30, 0)
    assert run.changes == [(60, 2)]
    run.policy = AutoscalingPolicy(min_replicas=1, max_replicas=1, target_ongoing_requests=10)
    run.go(30, 0)
    assert run.changes == [(60, 2), (90, 1)]


def test_pods_that_are_not_ready_count_as_pods():
    """AverageValue divides by all pods, so what starts is not ordered again."""
    run = Run(AutoscalingPolicy(max_replicas=9, target_ongoing_requests=10, upscale_delay_s=0)).go(60, 5)
    run.go(120, 30, ready=1)
    assert run.target == 3


def test_the_gain_looks_at_ready_pods_only():
    policy = AutoscalingPolicy(max_replicas=9, target_ongoing_requests=10, upscale_delay_s=0, smoothing_factor=0.5)
    run = Run(policy).go(60, 5)
    run.go(300, 40, ready=1)  # 1 + 0.5 * (4 - 1) = 2.5 for as long as one is ready
    assert run.target == 3
    run.go(300, 40)
    assert run.target == 4


def test_the_tolerance_holds_a_count_that_an_exact_one_would_leave():
    run = Run(AutoscalingPolicy(max_replicas=9, target_ongoing_requests=10), target=4).go(600, 43)
    assert run.target == 4
    exact = Run(run.policy, 4, Options.model_validate({"hpa_tolerance": True})).go(600, 43)
    assert exact.target == 5


@pytest.mark.parametrize(("lost", "target"), [("hold", 3), ("floor", 1), (2, 2)])
def test_a_lost_signal(lost, target):
    policy = AutoscalingPolicy(max_replicas=4, target_ongoing_requests=10, downscale_delay_s=60, on_signal_loss=lost)
    run = Run(policy, target=3).go(120, 30)
    run.go(45, None)
    assert run.target == 3  # the mean still has samples, then three queries may fail
    run.go(300, None)
    assert run.target == target
    run.go(300, 40)
    assert run.target == 4


def test_zero():
    policy = AutoscalingPolicy(min_replicas=0, max_replicas=4, target_ongoing_requests=10, downscale_delay_s=60)
    run = Run(policy).go(300, 3)
    assert run.target == 1
    run.go(300, 0)
    assert run.target == 0
    run.go(300, 20)
    assert run.target == 2  # started by the load balancer's count, and then by its own
    run.go(400, 0)
    assert run.target == 0
    run.policy = POLICY
    run.go(30, 0)
    assert run.target == 1


def test_ticks_left_out_change_nothing():
    """What `settled` promises."""
    every, some = KedaControlLoop(), KedaControlLoop()
    loads = [5] * 400 + [25] * 200 + [5] * 400
    target = fewer = 1
    skipped, before = 0, None
    for tick, load in enumerate(loads):
        now_s = tick * every.period_s
        target = every.step(POLICY, now_s, load, target, target)
        if not some.settled or load != before:
            fewer = some.step(POLICY, now_s, load, fewer, fewer)
        else:
            skipped += 1
        before = load
        assert fewer == target, tick
    assert skipped > 100
