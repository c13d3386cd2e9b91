"""The queue against hand-worked cases, queueing theory, and its own books."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.lab.queue import Queue
from finsight_serve.lab.service import ServiceModel


def queue(arrival_s, *, ready=1, service_s=10.0, each_s=None, **model):
    times = np.array([service_s] if each_s is None else each_s, dtype=np.float32)
    return Queue(np.array(arrival_s, dtype=float), times, ServiceModel(**model), now_s=0.0, ready=ready)


def test_one_server_takes_one_after_the_other():
    one = queue([0, 1, 2, 40], max_concurrency=1)
    one.advance(100)
    assert one.wait_s.tolist() == [0, 9, 18, 0]
    assert (one.begun, one.waiting, one.shed) == (4, 0, 0)


def test_two_servers_of_two_each_take_four_at_once():
    four = queue([0, 0.5, 1, 1.5, 2, 2.5], ready=2, max_concurrency=2)
    four.advance(100)
    assert four.wait_s.tolist() == [0, 0, 0, 0, 8, 8]


def test_a_request_counts_as_ongoing_from_arrival_to_end():
    one = queue([1, 2], max_concurrency=1)
    for at_s, expected in ((1, 0), (1.5, 1), (2.5, 2), (11.5, 1), (21.5, 0)):
        one.advance(at_s)
        assert one.ongoing == expected, at_s


def test_a_full_queue_sheds():
    one = queue([0, 1, 2, 3, 12], max_concurrency=1, max_queued=1)
    one.advance(100)
    assert one.wait_s.tolist() == [0, 9, -1, -1, 8]
    assert (one.begun, one.shed) == (3, 2)


def test_without_room_to_wait_a_free_server_still_takes_a_request():
    one = queue([0, 1, 11], max_concurrency=1, max_queued=0)
    one.advance(100)
    assert one.wait_s.tolist() == [0, -1, 0]


def test_a_new_replica_serves_after_its_cold_start():
    one = queue([0, 1, 2], max_concurrency=1, service_s=100, cold_start_s=30)
    one.advance(5)
    one.scale(2, 5)
    assert (one.ready, one.have) == (1, 2)
    one.advance(35)
    assert one.ready == 1
    one.advance(36)
    assert one.ready == 2
    one.advance(200)
    assert one.wait_s.tolist() == [0, 34, 98]


def test_a_removed_replica_ends_its_work_is_paid_until_then_and_takes_no_more():
    two = queue([0, 1, 2], ready=2, max_concurrency=1)
    two.advance(5)
    two.scale(1, 5)
    assert (two.ready, two.ongoing) == (1, 2)
    two.advance(100)
    # which of the two goes is not said; the third request waits for the one that stays
    assert two.wait_s[2] in (8, 9)
    paid_s = two.finish(100)
    assert paid_s in (100 + 10, 100 + 11)


def test_what_is_still_starting_is_removed_first_and_paid_for_as_long_as_it_was_there():
    one = queue([], cold_start_s=30)
    one.scale(3, 10)
    one.scale(1, 20)
    one.advance(100)
    assert one.ready == 1
    assert one.finish(100) == 100 + 2 * 10


def test_nothing_serves_at_zero_replicas():
    none = queue([1, 2], ready=0, max_concurrency=1, cold_start_s=5)
    none.advance(50)
    assert (none.begun, none.waiting, none.ongoing) == (0, 2, 2)
    none.scale(1, 50)
    none.advance(100)
    assert none.wait_s.tolist() == pytest.approx([54, 63])


def test_evenly_spread_arrivals_below_capacity_never_wait():
    """D/D/c: five servers of 10 s each hold one request every 2 s."""
    steady = queue(np.arange(0, 1000, 2.0), ready=5, max_concurrency=1)
    steady.advance(2000)
    assert steady.wait_s.max() == 0


def test_evenly_spread_arrivals_above_capacity_wait_ever_longer():
    """D/D/1 at 1 every 8 s, 10 s each: request n waits n * 2 s."""
    busy = queue(np.arange(100) * 8.0, max_concurrency=1)
    busy.advance(2000)
    assert busy.wait_s == pytest.approx(np.arange(100) * 2.0)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (1, 0.8), (4, 0.8), (10, 0.9)])
def test_random_arrivals_wait_as_long_as_erlang_says(servers, load):
    """M/M/c: the mean wait is C(c, a) / (c * mu - lambda), with Erlang's C formula."""
    random, count = np.random.default_rng(7), 400_000
    rate = servers * load  # mu = 1
    arrival_s = np.cumsum(random.exponential(1 / rate, count))
    many = queue(arrival_s, ready=servers, each_s=random.exponential(1.0, count), max_concurrency=1)
    many.advance(math.inf)
    terms = [rate**k / math.factorial(k) for k in range(servers)]
    last = rate**servers / math.factorial(servers) / (1 - load)
    expected = last / (sum(terms) + last) / (servers - rate)
    assert float(many.wait_s.mean(dtype=float)) == pytest.approx(expected, rel=0.1)


@settings(max_examples=200, deadline=None)
@given(
    gaps=st.lists(st.floats(0, 20), max_size=60),
    steps=st.lists(st.tuples(st.floats(0.1, 50), st.integers(0, 5)), max_size=12),
    concurrency=st.integers(1, 3),
    max_queued=st.one_of(st.none(), st.integers(0, 4)),
    cold_start_s=st.floats(0, 40),
)
def test_the_books_balance(gaps, steps, concurrency, max_queued, cold_start_s):
    arrival_s = np.cumsum(gaps)
    one = queue(arrival_s, service_s=7.0, max_concurrency=concurrency, max_queued=max_queued, cold_start_s=cold_start_s)
    now_s, counted_s, have = 0.0, 0.0, 1
    for step_s, wanted in steps:
        one.advance(now_s + step_s)
        counted_s += have * step_s  # starting and ready; draining comes on top
        now_s += step_s
        one.scale(wanted, now_s)
        have = wanted
        arrived = int((arrival_s < now_s).sum())
        assert one.begun + one.shed + one.waiting == arrived
        assert one.have == wanted
        assert 0 <= one.ready <= wanted
        assert one.waiting <= one.ongoing <= one.waiting + one.ready * concurrency
        if max_queued is not None:
            assert one.waiting <= max_queued
    begun = one.wait_s[one.wait_s >= 0]
    order = arrival_s[one.wait_s >= 0] + begun
    assert (np.diff(order) >= -1e-3).all()  # first come, first served
    assert one.finish(now_s) >= counted_s - 1e-6
