"""Policies over made loads, with loops whose answers are known, and with the backends' own."""

from dataclasses import replace

import numpy as np
import pytest

from finsight_serve.domain import AutoscalingPolicy, ServiceLevel, WeeklyHours, Window
from finsight_serve.errors import UserError
from finsight_serve.host import Host
from finsight_serve.lab.clairvoyant import clairvoyant
from finsight_serve.lab.comparison import compare
from finsight_serve.lab.limits import parse_limit
from finsight_serve.lab.outcome import agreement, oscillations
from finsight_serve.lab.report import write_report
from finsight_serve.lab.service import ServiceModel
from finsight_serve.lab.simulation import simulate
from finsight_serve.lab.trace import DAY_S, Trace

MONDAY_S = 1767571200.0  # 2026-01-05, UTC
POLICY = AutoscalingPolicy(min_replicas=1, max_replicas=4, target_ongoing_requests=10)
BACKENDS = ("ray", "k8s-keda")


def load(arrival_s, *, hours=None, **columns):
    arrival_s = np.asarray(arrival_s, dtype=float)
    end_s = hours * 3600 if hours else float(np.ceil(arrival_s[-1])) + 100
    return Trace("made", arrival_s, MONDAY_S, ((0.0, end_s),), **columns)


def bursts(seed=1, hours=24, quiet_rps=0.05, busy_rps=3.0):
    """Quiet, with half an hour of load every four hours."""
    random, parts = np.random.default_rng(seed), []
    for start in range(0, hours, 4):
        quiet = random.uniform(start * 3600, (start + 4) * 3600, random.poisson(quiet_rps * 4 * 3600))
        busy = random.uniform((start + 2) * 3600, (start + 2.5) * 3600, random.poisson(busy_rps * 1800))
        parts += [quiet, busy]
    return load(np.sort(np.concatenate(parts)), hours=hours)


class Scripted:
    """Wants a count from a time on."""

    period_s = 1.0

    def __init__(self, *changes):
        self.changes, self.asked = changes, []

    def step(self, policy, now_s, ongoing, ready, target):
        self.asked.append((now_s - MONDAY_S, policy, ongoing, ready, target))
        return [count for at_s, count in self.changes if at_s <= now_s - MONDAY_S][-1]


class Watched(Scripted):
    """Leaves what it was asked where the test finds it: the loop itself is copied."""

    def __deepcopy__(self, memo):
        return self


def test_replica_hours_count_what_starts_and_what_drains():
    trace = load([0, 3599], hours=1)
    outcome = simulate(POLICY, trace, Scripted((0, 1), (600, 3), (1200, 1)), ServiceModel(cold_start_s=60))
    assert outcome.replica_hours == pytest.approx((3600 + 2 * 600) / 3600)
    assert outcome.changes == 2
    assert outcome.series.t_s[outcome.series.ready == 3].tolist()[0] == 661  # seen at the tick after it is ready


def test_waits_and_counts():
    model = ServiceModel(service_s=10, max_concurrency=1, max_queued=2)
    outcome = simulate(POLICY, load([0, 1, 2, 3, 95], hours=100 / 3600), Scripted((0, 1)), model)
    assert outcome.wait_s.tolist() == [0, 9, 18, -1, 0]
    assert (outcome.requests, outcome.served, outcome.shed, outcome.waiting) == (5, 4, 1, 0)
    assert outcome.max_wait_s == 18
    assert outcome.p50_wait_s == pytest.approx(4.5)


def test_what_still_waits_at_the_end_has_waited_until_then():
    model = ServiceModel(service_s=1000, max_concurrency=1)
    outcome = simulate(POLICY, load([0, 10], hours=100 / 3600), Scripted((0, 1)), model)
    assert outcome.waiting == 1
    assert outcome.wait_s.tolist() == [0, 90]


def test_the_loop_is_asked_with_what_stands_and_is_never_changed():
    loop = Scripted((0, 2))
    simulate(POLICY, load([5]), loop, ServiceModel())
    assert loop.asked == []
    watched = Watched((0, 1), (2, 3))
    simulate(POLICY, load([0.5, 1.5], hours=0.1), watched, ServiceModel(cold_start_s=5))
    rows = [(at_s, ongoing, ready, target) for at_s, _, ongoing, ready, target in watched.asked[:9]]
    assert rows[:4] == [(0, 0, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1), (3, 2, 1, 3)]
    assert rows[8] == (8, 0, 3, 3)


def test_a_lost_signal_is_told_as_none():
    watched = Watched((0, 1))
    simulate(POLICY, load([0.5], hours=0.01), watched, ServiceModel(), lost=[(3.0, 6.0)])
    assert [at_s for at_s, _, ongoing, _, _ in watched.asked if ongoing is None] == [3, 4, 5]


def test_windows_open_on_the_traces_own_date():
    hours = WeeklyHours(start="09:00", end="16:00", timezone="UTC", days=("mon",))
    policy = replace(POLICY, schedule=(Window(weekly=hours, min_replicas=2, lead_s="measured"),))
    watched = Watched((0, 2))
    simulate(policy, load([1], hours=24), watched, ServiceModel(cold_start_s=120))
    floors = [(at_s, one.min_replicas) for at_s, one, *_ in watched.asked]
    raised = [at_s for at_s, floor in floors if floor == 2]
    assert (raised[0], raised[-1]) == (9 * 3600 - 120, 16 * 3600 - 1)
    assert all(not one.schedule for _, one, *_ in watched.asked)


def test_a_policy_with_windows_wants_a_date():
    policy = replace(
        POLICY,
        schedule=(Window(weekly=WeeklyHours(start="09:00", end="16:00", timezone="UTC"), min_replicas=2),),
    )
    with pytest.raises(UserError, match="say on which date the trace starts: --starts"):
        simulate(policy, replace(load([1]), anchored=False), Scripted((0, 1)), ServiceModel())


def test_spans_are_simulated_by_themselves():
    trace = bursts(hours=48)
    model = ServiceModel()
    for name in BACKENDS:
        loop = Host().control_loop(name)
        both = simulate(POLICY, trace.select([0, 1]), loop, model)
        days = [simulate(POLICY, trace.select([day]), loop, model) for day in (0, 1)]
        assert both.requests == sum(one.requests for one in days)
        apart = simulate(POLICY, replace(trace, spans=((0.0, DAY_S), (DAY_S, 2 * DAY_S))), loop, model)
        assert apart.replica_hours == pytest.approx(sum(one.replica_hours for one in days))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("least", [0, 1, 2])
@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_passing_over_quiet_ticks_is_exact(name, least, factor):
    class Every:
        def __init__(self):
            self.inner = Host().control_loop(name)
            self.period_s = self.inner.period_s

        def step(self, *asked):
            return self.inner.step(*asked)

    policy = replace(POLICY, min_replicas=least, smoothing_factor=factor, initial_replicas=max(least, 1))
    hours = WeeklyHours(start="05:00", end="13:00", timezone="UTC")
    policy = replace(policy, schedule=(Window(weekly=hours, min_replicas=3, lead_s=77.0),))
    trace = bursts(quiet_rps=0.002)
    quick = simulate(policy, trace, Host().control_loop(name), ServiceModel())
    slow = simulate(policy, trace, Every(), ServiceModel())
    assert quick.replica_hours == slow.replica_hours
    assert (quick.wait_s == slow.wait_s).all()
    assert agreement(quick, slow) == 1.0
    assert quick.changes == slow.changes > 0


@pytest.mark.parametrize("name", BACKENDS)
def test_bounds_hold_and_load_is_followed(name):
    outcome = simulate(POLICY, bursts(), Host().control_loop(name), ServiceModel(service_s=10))
    assert outcome.series.target.min() == 1
    assert outcome.series.target.max() == 4
    assert outcome.served + outcome.shed + outcome.waiting == outcome.requests
    assert 24 < outcome.replica_hours < 4 * 24


def test_agreement_is_the_share_of_seconds():
    trace, model = load([1], hours=1), ServiceModel()
    always, half = (
        simulate(POLICY, trace, Scripted(*changes), model) for changes in ([(0, 1)], [(0, 1), (900, 2), (2700, 1)])
    )
    assert agreement(always, half) == pytest.approx(0.5)
    assert agreement(half, half) == 1.0


def test_oscillations_are_turns_within_ten_minutes():
    assert oscillations([(0, 1)]) == 0
    assert oscillations([(0, 1), (100, 2), (200, 3)]) == 0
    assert oscillations([(0, 1), (100, 2), (700, 1)]) == 1
    assert oscillations([(0, 1), (100, 2), (701, 1)]) == 0
    assert oscillations([(0, 1), (100, 2), (200, 1), (300, 2)]) == 2


def test_tokens_tell_how_long_a_request_takes():
    model = ServiceModel(token_s=0.1, prefill_s=1.0, max_concurrency=1)
    trace = load([0, 1, 2], output_tokens=np.array([10, 40, 5], dtype=np.int32))
    assert model.times_s(trace).tolist() == pytest.approx([2, 5, 1.5])
    assert simulate(POLICY, trace, Scripted((0, 1)), model).wait_s.tolist() == pytest.approx([0, 1, 5])
    assert model.times_s(replace(trace, service_s=np.array([7.0, 8, 9], dtype=np.float32))).tolist() == [7, 8, 9]


class TestClairvoyant:
    """The bound against cases whose least cost is plain."""

    def test_light_load_costs_the_floor(self):
        bound = clairvoyant(POLICY, load(np.arange(0, 3600, 10.0), hours=1), ServiceModel(), p99_wait_s=1)
        assert bound.replica_hours == bound.attained_hours == bound.floor_hours == 1

    def test_windows_count_in_the_floor(self):
        hours = WeeklyHours(start="09:00", end="16:00", timezone="UTC")
        policy = replace(POLICY, schedule=(Window(weekly=hours, min_replicas=3),))
        bound = clairvoyant(policy, load([1], hours=24), ServiceModel(), p99_wait_s=1)
        assert bound.replica_hours == pytest.approx(24 + 2 * 7)

    def test_one_burst_costs_a_replica_from_a_cold_start_before_it(self):
        """Two requests of 100 s at once for one server: the second is helped by a second replica, 60 + 100 s."""
        model = ServiceModel(service_s=100, max_concurrency=1, cold_start_s=60)
        bound = clairvoyant(POLICY, load([1000, 1001], hours=1), model, p99_wait_s=1)
        helped = 1 - 0.02  # one in a hundred of two may wait
        assert bound.replica_hours == pytest.approx(1 + helped * 160 / 3600)
        assert bound.attained_hours == pytest.approx(1 + 160 / 3600, abs=0.01)

    def test_a_wait_that_is_allowed_costs_nothing(self):
        model = ServiceModel(service_s=100, max_concurrency=1, cold_start_s=60)
        bound = clairvoyant(POLICY, load([1000, 1001], hours=1), model, p99_wait_s=100)
        assert bound.replica_hours == bound.attained_hours == 1

    def test_what_the_ceiling_cannot_hold_is_attained_by_no_plan(self):
        policy = replace(POLICY, max_replicas=1)
        model = ServiceModel(service_s=100, max_concurrency=1)
        assert clairvoyant(policy, load([0, 1, 2, 3]), model, p99_wait_s=1).attained_hours is None

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("name", BACKENDS)
    def test_no_policy_beats_it(self, name, seed):
        trace, model = bursts(seed, hours=12, busy_rps=1 + seed), ServiceModel(cold_start_s=20 * seed)
        for policy in (POLICY, replace(POLICY, upscale_delay_s=0, downscale_delay_s=20, target_ongoing_requests=6)):
            outcome = simulate(policy, trace, Host().control_loop(name), model)
            bound = clairvoyant(policy, trace, model, p99_wait_s=outcome.p99_wait_s)
            assert bound.floor_hours <= bound.replica_hours <= outcome.replica_hours + 1e-9
            if bound.attained_hours is not None:
                assert bound.replica_hours <= bound.attained_hours + 1e-9


def test_assertions_are_judged_on_every_backend():
    loops = {"quick": Scripted((0, 4)), "slow": Scripted((0, 1))}
    trace = load(np.arange(0, 600, 1.0), hours=0.25)
    found = compare(POLICY, trace, loops, ServiceModel(service_s=30, max_concurrency=16, cold_start_s=0))
    limits = [parse_limit(text, ("p99_wait_s", "replica_hours")) for text in ("p99_wait_s<=1", "replica_hours<=0.9")]
    lines = found.broken(limits)
    assert len(lines) == 2
    assert lines[0].startswith("slow: p99_wait_s<=1 fails: ")
    assert lines[1].startswith("quick: replica_hours<=0.9 fails: 1, 0.1 above")


def test_the_promise_is_what_the_bound_keeps_to():
    trace = bursts(hours=8)
    policy = replace(POLICY, slo=ServiceLevel(p99_wait_s=2.0))
    found = compare(policy, trace, {"one": Scripted((0, 1))}, ServiceModel())
    assert found.bounds["one"].p99_wait_s == 2.0
    own = compare(POLICY, trace, {"one": Scripted((0, 1))}, ServiceModel())
    assert own.bounds["one"].p99_wait_s == own.outcomes["one"].p99_wait_s


def test_the_page_needs_nothing_else(tmp_path):
    trace, model = bursts(hours=24), ServiceModel()
    found = compare(POLICY, trace, {name: Host().control_loop(name) for name in BACKENDS}, model)
    path = tmp_path / "report.html"
    write_report(path, POLICY, trace, model, found)
    text = path.read_text()
    assert text.count("<svg") == 3
    assert text.count('role="img" aria-label="') == 3
    assert "color-scheme: light dark" in text
    for part in ("http://", "https://", "<script", "<link"):
        assert part not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
            "http://creativecommons.org", ""
        )
    for name in BACKENDS:
        assert name in text
