"""A tenant moved by what a real ledger says: each of the ways in which a destination's answers may be of no use."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finsight_serve.controller.facts import Applied, Measured, Seen
from finsight_serve.controller.measuring import measure
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER
from finsight_serve.domain.limit import parse_limit
from finsight_serve.domain.migration import OVER, Migration, MigrationRules
from finsight_serve.plugin import Observed, Request
from finsight_serve.store import Ledger

from .stories import MOVE, STACK, Story, moving
from .worlds import chosen, probed

pytestmark = pytest.mark.anyio
LIMITS = (parse_limit("error_rate<=1%"),)
RULES = MigrationRules(steps=(10, 50, 100), hold_s=60, min_requests=20, limits=LIMITS)
PER_S = 10
Outcome = Callable[[Request], Request]


def as_it_should(request: Request) -> Request:
    return request


def hangs(request: Request) -> Request:
    return replace(request, status=499, outcome="client_closed", duration_s=30.0, ttft_s=None)


def refuses(request: Request) -> Request:
    return replace(request, status=404, duration_s=0.02, ttft_s=0.02)


def breaks_off_late(request: Request) -> Request:
    return replace(request, outcome="truncated", duration_s=90.0)


def fails(request: Request) -> Request:
    return replace(request, status=500, outcome="failed", ttft_s=None)


class Traffic:
    """Ten requests a second by the weights in force; every other one at the destination goes as `outcome` says."""

    def __init__(self, folder: Path, outcome: Outcome) -> None:
        self.ledger, self.outcome = Ledger(folder), outcome
        self.open: list[Request] = []
        self.asked = 0
        self.story = Story().ask(replace(MOVE, rules=RULES)).tell(probed("2", "ok")).apply()

    async def run(self, most_s: int = 400) -> Migration:
        for _ in range(most_s):
            if self.story.migration.phase in OVER:
                break
            await self.second()
        self.ledger.close()
        return self.story.migration

    async def second(self) -> None:
        story = self.story
        share, version = story.weights.get("new", 0), story.state.durable.route_version
        for part in range(PER_S):
            self.asked += 1
            to = "new" if self.asked * 37 % 100 < share else "old"
            started_s = story.now_s + part / PER_S
            one = Request("c", str(self.asked), "default", to, "1", 200, "complete", started_s, 0.5, 0.05, version)
            self.open.append(self.outcome(one) if to == "new" and self.asked % 2 else one)
        story.now_s += 1
        ended = [one for one in self.open if one.started_s + (one.duration_s or 0) <= story.now_s]
        self.open = [one for one in self.open if one not in ended]
        await self.ledger.add(ended)
        streams = {("default", name): sum(one.deployment == name for one in self.open) for name in ("old", "new")}
        self.take(measure(self.ledger, story.state, {}, story.now_s))
        self.take(Seen(LOAD_BALANCER, Observed(open_streams=streams)))
        if story.state.durable.route_version != story.state.routes_in_force:
            self.take(Applied(LOAD_BALANCER, emptied=False, route_version=story.state.durable.route_version))

    def take(self, fact: Any) -> None:
        self.story.state = reduce(self.story.state, fact, self.story.now_s).state


async def test_a_destination_that_answers_as_it_should_is_moved_to(tmp_path: Path) -> None:
    assert (await Traffic(tmp_path, as_it_should).run()).phase == "done"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (hangs, "requests were given up by the client before the first byte, at the source 0 %: new at 10 %"),
        (refuses, "requests were refused (4xx), at the source 0 %: new at 10 %"),
        (breaks_off_late, "requests failed or were truncated since the first step: new at 50 %"),
        (fails, "requests failed or were truncated: new at 10 %"),
    ],
)
async def test_whatever_is_wrong_with_its_answers_rolls_it_back(tmp_path: Path, outcome: Outcome, reason: str) -> None:
    ended = await Traffic(tmp_path, outcome).run()
    assert ended.phase == "rolled_back" and reason in ended.reason


async def test_what_is_not_measured_any_more_holds(tmp_path: Path) -> None:
    traffic = Traffic(tmp_path, fails)
    traffic.take(Measured({}, {}, {}))
    for _ in range(10):
        traffic.story.wait(100)
    assert traffic.story.migration.phase == "shifting"
    traffic.ledger.close()


def test_a_destination_that_is_served_under_another_name_midway_rolls_back() -> None:
    story = moving().apply()
    assert story.migration.model == "a-model"
    again = chosen(STACK)
    story.tell(replace(again, served_models={**again.served_models, "new": "another"}))
    assert story.migration.phase == "rolling_back"
    assert story.migration.reason.startswith("new serves another now, and default's clients ask for a-model")
