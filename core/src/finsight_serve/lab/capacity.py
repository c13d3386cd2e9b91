"""The rate that one replica holds within its SLO: requests arrive at random and don't wait for each other's answers."""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from ..domain.figures import nearest_rank
from ..env import Clock
from ..errors import UserError

LONE_REQUESTS = 3
STEP_IN_ANSWERS = 8  # a step is at least as long as so many answers, so that its second half is a steady state
MOST_OPEN = 2000  # a replica this far behind won't catch up within a step


@dataclass(frozen=True)
class Answer:
    """One request. `planned_s` is when it should have been sent, so that a late client's delay counts as the wait."""

    planned_s: float
    ttft_s: float  # from planned_s to the first token
    latency_s: float  # from planned_s to the end of the stream
    fault: str = ""  # what went wrong; "" for a stream that came to its terminal event


Ask = Callable[[float], Awaitable[Answer]]
"""Sends one request that was planned for the given time and reads its answer to the end; never raises."""


@dataclass(frozen=True)
class Trial:
    """What one step at one rate showed."""

    rate_rps: float
    requests: int
    failed: int
    p99_ttft_s: float
    mean_latency_s: float
    ongoing: float  # mean over the step
    peak_ongoing: int
    piled_up: int = 0  # by how many the open requests grew over the step's second half

    @property
    def keeps_up(self) -> bool:
        """Whether answers end as fast as requests come: an engine that takes in every request at once shows no wait
        for the first token long after it has fallen behind. What random arrivals alone pile up is allowed for."""
        return self.piled_up <= 1 + 2 * math.sqrt(self.requests / 2)

    def holds(self, p99_ttft_s: float) -> bool:
        return self.failed == 0 and self.p99_ttft_s <= p99_ttft_s and self.keeps_up


@dataclass(frozen=True)
class Search:
    """Doubles the rate until the SLO breaks, then halves the gap. Rates are in requests/s."""

    next_rps: float
    most_rps: float
    holds_rps: float | None = None
    breaks_rps: float | None = None

    def learn(self, held: bool) -> "Search":
        """What `next_rps` showed."""
        known = replace(self, holds_rps=self.next_rps) if held else replace(self, breaks_rps=self.next_rps)
        return replace(known, next_rps=known._guess())

    def done(self, precision: float) -> bool:
        """Whether the rate is known to within the share `precision`, or held at `most_rps`."""
        if self.breaks_rps is None:
            return self.holds_rps is not None and self.holds_rps >= self.most_rps
        if self.holds_rps is None:
            return False
        return self.breaks_rps <= self.holds_rps * (1 + precision)

    def _guess(self) -> float:
        if self.breaks_rps is None:
            return min(self.next_rps * 2, self.most_rps)
        if self.holds_rps is None:
            return self.next_rps / 2
        return (self.holds_rps + self.breaks_rps) / 2


@dataclass(frozen=True)
class Capacity:
    """A replica as measured. `lone_…` are of one request at a time."""

    requests_per_s: float  # the highest rate that held the SLO
    ongoing: float  # requests running and queued at that rate, mean
    peak_ongoing: int
    service_s: float  # how long a request takes at that rate, mean
    p99_ttft_s: float
    lone_service_s: float
    lone_ttft_s: float
    trials: tuple[Trial, ...] = ()

    @property
    def suggested_target(self) -> int:
        """For `target_ongoing_requests`."""
        return max(1, math.floor(self.ongoing))


async def measure(
    ask: Ask,
    clock: Clock,
    *,
    p99_ttft_s: float,
    step_s: float = 30.0,
    most_rps: float = 1000.0,
    precision: float = 0.1,
    seed: int = 0,
    report: Callable[[str], None],
) -> Capacity:
    """Raises `UserError` where a request alone fails or breaks the SLO, or no rate holds it."""
    lone = [await ask(clock.now()) for _ in range(LONE_REQUESTS)]
    if faults := [answer.fault for answer in lone if answer.fault]:
        raise UserError(f"a request alone failed: {faults[0]}; check the URL, the model's name and the key")
    lone_ttft_s, lone_service_s = max(a.ttft_s for a in lone), sum(a.latency_s for a in lone) / len(lone)
    report(f"one request alone: first token after {lone_ttft_s:.3f} s, all after {lone_service_s:.3f} s")
    if lone_ttft_s > p99_ttft_s:
        raise UserError(
            f"a request alone has its first token after {lone_ttft_s:.3f} s, later than the SLO ({p99_ttft_s:g} s): "
            "no rate can hold it; promise less, or use a faster replica"
        )
    if lone_service_s > step_s / STEP_IN_ANSWERS:
        step_s = STEP_IN_ANSWERS * lone_service_s
        report(f"steps of {step_s:.0f} s: shorter ones would end before their answers do")
    rng = random.Random(seed)
    search = Search(min(1.0 / max(lone_service_s, 1e-6), most_rps), most_rps)
    trials: list[Trial] = []
    while not search.done(precision):
        trial = await run_trial(ask, clock, search.next_rps, step_s, rng)
        trials.append(trial)
        held = trial.holds(p99_ttft_s)
        report(describe(trial, held))
        search = search.learn(held)
        if search.holds_rps is None and search.next_rps * step_s < 1:
            raise UserError(
                f"no rate down to one request in {step_s:g} s held the SLO ({p99_ttft_s:g} s): "
                "see the steps above; longer steps (--step-s) try lower rates"
            )
    best = next(trial for trial in trials if trial.rate_rps == search.holds_rps)
    return Capacity(
        requests_per_s=best.rate_rps,
        ongoing=best.ongoing,
        peak_ongoing=best.peak_ongoing,
        service_s=best.mean_latency_s,
        p99_ttft_s=best.p99_ttft_s,
        lone_service_s=lone_service_s,
        lone_ttft_s=lone_ttft_s,
        trials=tuple(trials),
    )


async def run_trial(ask: Ask, clock: Clock, rate_rps: float, step_s: float, rng: random.Random) -> Trial:
    """Poisson arrivals for `step_s`, at least one; waits for every answer, unless too many pile up."""
    start_s = clock.now()
    answers: list[Answer] = []
    open_now, cut_short = 0, False

    async def send(planned_s: float) -> None:
        nonlocal open_now
        answers.append(await ask(planned_s))
        open_now -= 1

    async with anyio.create_task_group() as group:
        planned_s = start_s + min(rng.expovariate(rate_rps), step_s)
        while planned_s <= start_s + step_s and not cut_short:
            if (early_s := planned_s - clock.now()) > 0:
                await clock.sleep(early_s)
            open_now += 1
            group.start_soon(send, planned_s)
            planned_s += rng.expovariate(rate_rps)
            cut_short = open_now > MOST_OPEN
        if cut_short:
            group.cancel_scope.cancel()
    trial = summarise(rate_rps, start_s, step_s, answers)
    return replace(trial, piled_up=max(trial.piled_up, open_now)) if cut_short else trial


def summarise(rate_rps: float, start_s: float, step_s: float, answers: Sequence[Answer]) -> Trial:
    """By nearest rank: of fewer than 100 answers the worst one is the p99."""
    good = [answer for answer in answers if not answer.fault]
    latencies = [answer.latency_s for answer in good]
    p99_ttft_s = nearest_rank(sorted(answer.ttft_s for answer in good), 0.99)
    ends = [(answer.planned_s + answer.latency_s, -1) for answer in good]
    change, peak = 0, 0
    for _, step in sorted([*((answer.planned_s, 1) for answer in good), *ends]):
        change += step
        peak = max(peak, change)
    return Trial(
        rate_rps=rate_rps,
        requests=len(answers),
        failed=len(answers) - len(good),
        p99_ttft_s=math.inf if p99_ttft_s is None else p99_ttft_s,
        mean_latency_s=sum(latencies) / len(latencies) if latencies else math.inf,
        ongoing=sum(latencies) / step_s,
        peak_ongoing=peak,
        piled_up=_open_at(start_s + step_s, good) - _open_at(start_s + step_s / 2, good),
    )


def _open_at(at_s: float, answers: Sequence[Answer]) -> int:
    return sum(answer.planned_s <= at_s < answer.planned_s + answer.latency_s for answer in answers)


def describe(trial: Trial, held: bool) -> str:
    verdict = "holds" if held else "breaks"
    why = f", {trial.failed} failed" if trial.failed else "" if trial.keeps_up else ", and they pile up"
    return (
        f"{trial.rate_rps:.3g} requests/s: p99 time to first token {trial.p99_ttft_s:.3f} s, "
        f"{trial.ongoing:.1f} ongoing, {trial.requests} requests{why}: {verdict}"
    )
