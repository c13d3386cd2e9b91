"""A server of known capacity, in virtual time: the search must find its rate, and say what it saw."""

import asyncio
import math
import random
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.errors import UserError
from finsight_serve.lab.asking import SteadyClock
from finsight_serve.lab.capacity import LONE_REQUESTS, Answer, Capacity, Search, measure, run_trial, summarise

T = TypeVar("T")


class AtOnce(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Where the loop would wait, virtual time jumps."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.now_s += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = AtOnce()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now_s


def in_virtual_time(function: Callable[[], Awaitable[T]]) -> T:
    return anyio.run(function, backend_options={"loop_factory": VirtualLoop})


class Server:
    """`slots` requests at a time, each for `service_s`; the first token comes when a slot is free."""

    def __init__(self, slots: int, service_s: float, fails_above: float = math.inf) -> None:
        self.slots, self.service_s, self.fails_above = slots, service_s, fails_above
        self.asked = 0
        self._free: anyio.Semaphore | None = None
        self._open = 0

    async def ask(self, planned_s: float) -> Answer:
        self._free = self._free or anyio.Semaphore(self.slots)
        self.asked += 1
        self._open += 1
        try:
            if self._open > self.fails_above:
                return Answer(planned_s, math.inf, 0.0, "HTTP status 500")
            async with self._free:
                ttft_s = anyio.current_time() - planned_s
                await anyio.sleep(self.service_s)  # on the test's own clock: it takes no time
            return Answer(planned_s, ttft_s, anyio.current_time() - planned_s)
        finally:
            self._open -= 1


class Sharing:
    """First tokens come at once; the open requests share one processor, which does 1 / `work_s` of them a second."""

    def __init__(self, work_s: float) -> None:
        self.work_s, self.since_s = work_s, 0.0
        self.left_s: dict[float, float] = {}  # by planned time

    async def ask(self, planned_s: float) -> Answer:
        self._pass_time()
        self.left_s[planned_s] = self.work_s
        while self.left_s[planned_s] > 1e-9:
            # on the test's own clock: it takes no time
            await anyio.sleep(max(min(self.left_s.values()) * len(self.left_s), 1e-6))
            self._pass_time()
        del self.left_s[planned_s]
        return Answer(planned_s, 0.0, anyio.current_time() - planned_s)

    def _pass_time(self) -> None:
        passed_s, self.since_s = anyio.current_time() - self.since_s, anyio.current_time()
        for one in self.left_s:
            self.left_s[one] -= passed_s / len(self.left_s)


def found(server: Server, said: list[str] | None = None, **options: Any) -> Capacity:
    settings = {"p99_ttft_s": 0.5, "step_s": 200.0, **options}

    async def run() -> Capacity:
        report = (said if said is not None else []).append
        return await measure(server.ask, SteadyClock(), report=report, **settings)

    return in_virtual_time(run)


@pytest.mark.parametrize(("slots", "service_s"), [(1, 0.2), (4, 1.0), (16, 2.0)])
def test_it_finds_the_rate_below_saturation(slots: int, service_s: float) -> None:
    saturation_rps = slots / service_s
    capacity = found(Server(slots, service_s))
    assert 0.3 * saturation_rps < capacity.requests_per_s < 1.02 * saturation_rps
    assert capacity.p99_ttft_s <= 0.5
    assert capacity.ongoing == pytest.approx(capacity.requests_per_s * capacity.service_s, rel=0.25)  # Little's law
    assert capacity.lone_service_s == pytest.approx(service_s)
    assert 1 <= capacity.suggested_target <= capacity.peak_ongoing


def test_more_slots_hold_a_higher_rate() -> None:
    assert found(Server(8, 1.0)).requests_per_s > 1.5 * found(Server(4, 1.0)).requests_per_s


def test_a_step_that_broke_lies_just_above() -> None:
    capacity = found(Server(4, 1.0))
    broken = [trial.rate_rps for trial in capacity.trials if not trial.holds(0.5)]
    assert min(broken) <= capacity.requests_per_s * 1.1


def test_every_step_is_reported_as_it_ends() -> None:
    said: list[str] = []
    capacity = found(Server(4, 1.0), said)
    assert len(said) == 1 + len(capacity.trials)
    assert said[0].startswith("one request alone: first token after 0.000 s, all after 1.000 s")
    assert {line.rpartition(": ")[2] for line in said[1:]} == {"holds", "breaks"}


def test_a_failed_request_breaks_a_step() -> None:
    capacity = found(Server(64, 1.0, fails_above=10))
    assert capacity.peak_ongoing <= 10
    assert any(trial.failed for trial in capacity.trials)


def test_a_rate_that_is_allowed_at_most_is_not_passed() -> None:
    assert found(Server(64, 1.0), most_rps=3.0).requests_per_s == 3.0


def test_one_seed_one_answer() -> None:
    assert found(Server(4, 1.0)) == found(Server(4, 1.0))
    assert found(Server(4, 1.0)).trials[0] != found(Server(4, 1.0), seed=1).trials[0]


def test_a_slow_replica_is_refused_after_a_look_at_it_alone() -> None:
    async def slow(planned_s: float) -> Answer:
        return Answer(planned_s, 2.0, 3.0)

    async def run() -> Capacity:
        return await measure(slow, SteadyClock(), p99_ttft_s=1.0, report=print)

    with pytest.raises(UserError, match=r"first token after 2\.000 s, later than the SLO \(1 s\)"):
        in_virtual_time(run)


def test_one_that_only_fails_is_refused() -> None:
    with pytest.raises(UserError, match="a request alone failed: HTTP status 500"):
        found(Server(4, 1.0, fails_above=0))


def test_where_no_rate_holds_it_is_told_however_high_the_search_may_go() -> None:
    class OnlyQuickAlone(Server):
        async def ask(self, planned_s: float) -> Answer:
            answer = await super().ask(planned_s)
            return answer if self.asked <= LONE_REQUESTS else Answer(planned_s, 9.0, 9.0)

    with pytest.raises(UserError, match="no rate down to one request in"):
        found(OnlyQuickAlone(4, 1.0), step_s=30.0, most_rps=100_000.0)


def test_requests_that_pile_up_end_the_step() -> None:
    async def never(planned_s: float) -> Answer:
        await anyio.sleep_forever()
        raise AssertionError

    async def run() -> Any:
        return await run_trial(never, SteadyClock(), 500.0, 60.0, random.Random(0))

    trial = in_virtual_time(run)
    assert trial.piled_up > 1000 and not trial.holds(1000)


def test_a_summary_worked_out_by_hand() -> None:
    answers = [Answer(0.0, 0.1, 2.0), Answer(1.0, 0.3, 2.0), Answer(3.0, 0.2, 1.0), Answer(3.5, math.inf, 9.0, "lost")]
    trial = summarise(0.4, 0.0, 10.0, answers)
    assert (trial.requests, trial.failed, trial.p99_ttft_s, trial.peak_ongoing) == (4, 1, 0.3, 2)
    assert trial.ongoing == pytest.approx(0.5)  # 5 s of work in 10 s
    assert not trial.holds(1.0)


def test_an_engine_that_takes_in_all_at_once_must_keep_up() -> None:
    server = Sharing(work_s=0.5)

    async def run() -> Capacity:
        return await measure(server.ask, SteadyClock(), p99_ttft_s=0.5, step_s=100.0, report=print)

    assert 1.0 < in_virtual_time(run).requests_per_s < 2.6


@given(st.floats(0.01, 500), st.floats(0.01, 500))
def test_the_search_closes_in_on_any_rate(first_rps: float, truth_rps: float) -> None:
    search, steps = Search(min(first_rps, 1000.0), 1000.0), 0
    while not search.done(0.1):
        search, steps = search.learn(search.next_rps <= truth_rps), steps + 1
        assert steps < 60
    assert search.holds_rps is not None and search.holds_rps <= truth_rps < search.holds_rps * 1.1 + 1e-9
