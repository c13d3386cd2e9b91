"""What a fact costs at 10,000 tenants, 5,000 of them to be moved in waves: counted, since a clock would tell less."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import FrameType

import pytest

from finsight_serve.controller import migrating, routing
from finsight_serve.controller.facts import (
    Applied,
    Fact,
    FirstKeysIssued,
    Measured,
    MigrationsAsked,
    RollbackAsked,
    Seen,
    StackChosen,
    TimePassed,
)
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER, MigrationFigures, State
from finsight_serve.controller.targets import is_anything_due, shadow_pairs, targets_of
from finsight_serve.controller.tenancy import tenants
from finsight_serve.controller.want import want
from finsight_serve.domain.migration import Migration, MigrationRules, step
from finsight_serve.plugin import Observed
from finsight_serve.stack.values import Tenant

from .worlds import after, chosen, probed, replica, seen, stack

SMALL, LARGE = 1_000, 10_000
WAVE = 100  # tenants that are moved at a time
NOW_S = 60.0
RULES = MigrationRules(steps=(10, 100), hold_s=5, min_requests=0)


@cache
def served(count: int) -> State:
    two = stack(("old", "one"), ("new", "two"))
    names = [f"t{number:05}" for number in range(count)]
    two = replace(two, tenants=tuple(Tenant(name, "old") for name in names))
    first = FirstKeysIssued({name: f"{number:064x}" for number, name in enumerate(names)})
    state = after(first, chosen(two), seen("one", replica("1", "old")), seen("two", replica("2", "new")))
    return after(Applied(LOAD_BALANCER, emptied=False, route_version=1), state=state)


def moves(count: int) -> MigrationsAsked:
    """Of the first half of the tenants."""
    half = range(count // 2)
    made = (Migration(f"M{n + 1}", f"t{n:05}", {}, "new", RULES, batch="M1", wave=n // WAVE) for n in half)
    return MigrationsAsked(tuple(made), "ann")


@cache
def in_waves(count: int) -> State:
    """The first wave is at its first step; the others wait."""
    asked = moves(count)
    figures = {one.id: MigrationFigures() for one in asked.migrations}
    state = after(asked, Measured({}, figures, {}), probed("2", "ok"), state=served(count))
    phases = [one.phase for one in state.durable.migrations.values()]
    assert (phases.count("shifting"), phases.count("planned")) == (WAVE, count // 2 - WAVE)
    return after(applied(state), state=state)


def applied(state: State) -> Applied:
    return Applied(LOAD_BALANCER, emptied=False, route_version=state.durable.route_version)


def proved(state: State) -> Measured:
    """Of the first wave's step: nobody asked anything, and that is enough."""
    figures = MigrationFigures(from_version=state.durable.route_version)
    return Measured({}, {f"M{number + 1}": figures for number in range(WAVE)}, {})


def without_destination(state: State) -> StackChosen:
    served = state.durable.stack
    assert served is not None
    return chosen(replace(served, deployments=served.deployments[:1]))


def act(state: State, fact: Fact) -> State:
    """As a controller does: decides, and finds what is wanted and who is to be asked."""
    decided = reduce(state, fact, NOW_S)
    assert not decided.refused
    want(decided.state)
    shadow_pairs(decided.state, targets_of(decided.state))
    return decided.state


def cost_of(work: Callable[[], object]) -> int:
    """Calls of functions, in Python and in C, and items that generators gave."""
    count = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


ORDINARY: dict[str, Callable[[State], Fact]] = {
    "the time": lambda state: TimePassed(),
    "streams": lambda state: Seen(LOAD_BALANCER, Observed(open_streams={("t00001", "old"): 2})),
    "a probe": lambda state: probed("2", "ok"),
    "a snapshot": lambda state: seen("one", replica("1", "old")),
}
CHANGING: dict[str, Callable[[State], Fact]] = {
    "a wave goes on": proved,
    "one goes back": lambda state: RollbackAsked("M1", "ann"),
    "all fail at once": without_destination,
}


@pytest.mark.parametrize("name", [*ORDINARY, *CHANGING])
def test_ten_times_the_tenants_cost_about_ten_times_the_calls(name: str) -> None:
    """Anything quadratic would cost a hundred times as many."""
    fact_of = {**ORDINARY, **CHANGING}[name]
    costs = []
    for count in (SMALL, LARGE):
        state = in_waves(count)
        fact = fact_of(state)
        costs.append(cost_of(lambda state=state, fact=fact: act(state, fact)))
    assert costs[1] < 12 * costs[0]


def test_asking_for_half_of_the_tenants_costs_about_ten_times_the_calls() -> None:
    small, large = (served(SMALL), moves(SMALL)), (served(LARGE), moves(LARGE))
    assert cost_of(lambda: act(*large)) < 12 * cost_of(lambda: act(*small))


def test_a_wave_that_goes_on_and_a_batch_that_fails_do_so_in_one_fact() -> None:
    on = act(in_waves(SMALL), proved(in_waves(SMALL)))
    assert [one.step for one in on.durable.migrations.values()][: WAVE + 1] == [1] * WAVE + [0]
    failed = act(in_waves(SMALL), without_destination(in_waves(SMALL)))
    later = [one for one in failed.durable.migrations.values() if one.wave]
    assert later and {one.phase for one in later} == {"failed"}


@pytest.mark.parametrize("name", list(ORDINARY))
def test_an_ordinary_fact_walks_the_tenants_a_few_times_and_makes_no_table(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = act(in_waves(LARGE), TimePassed())
    fact = ORDINARY[name](state)
    walks: list[str] = []
    for module in (migrating, routing):
        monkeypatch.setattr(module, "tenants", lambda durable: walks.append("") or tenants(durable))
    steps: list[str] = []
    monkeypatch.setattr(migrating, "step", lambda one, *rest: steps.append(one.id) or step(one, *rest))
    began_s = time.perf_counter()
    after_it = act(state, fact)
    print(f"{name}: {1e3 * (time.perf_counter() - began_s):.1f} ms")
    assert len(walks) <= 1
    assert len(steps) <= 2 * WAVE, "those that wait for earlier waves are passed over"
    assert after_it.table is state.table


def test_nothing_is_due_and_nothing_looked_at_where_nobody_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    state = act(served(LARGE), TimePassed())
    for module in (migrating, routing):
        monkeypatch.setattr(module, "tenants", lambda durable: pytest.fail("the tenants were walked"))
    began_s = time.perf_counter()
    assert not is_anything_due(state, NOW_S)
    assert act(state, TimePassed()).table is state.table
    print(f"idle: {1e3 * (time.perf_counter() - began_s):.2f} ms")
