"""Breakers in the reducer: what was measured and probed opens, tries and closes them, and the route table follows."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from finsight_serve.controller.breaking import is_breaker_due, judge_breakers
from finsight_serve.controller.facts import Fact, Measured, StackAmended, TimePassed
from finsight_serve.controller.measuring import measure
from finsight_serve.controller.reduce import Step, reduce
from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import Durable, State, Stopping
from finsight_serve.domain.breaker import Breaker, BreakerRules
from finsight_serve.domain.figures import Figures
from finsight_serve.domain.health import ReplicaHealth
from finsight_serve.plugin import Request
from finsight_serve.stack.values import Stack
from finsight_serve.store import Ledger

from .worlds import BOTH, chosen, probed, replica, seen, stack

BEGIN_S = 1000.0
DURABLE = TypeAdapter(Durable)


def taken(state: State, now_s: float, *facts: Fact) -> State:
    for fact in facts:
        state = reduce(state, fact, now_s).state
    return state


def begun(of: Stack = BOTH) -> State:
    """Two ready replicas of `chat`, one of `code`."""
    chat = seen("one", replica("1"), replica("2"))
    return taken(State(), BEGIN_S, chosen(of), chat, seen("two", replica("3", "code")))


def bad(since_s: float = BEGIN_S) -> Measured:
    return Measured({"chat": Figures(40, 40, failures_in_a_row=40, since_s=since_s)}, {}, {})


def good(since_s: float) -> Measured:
    return Measured({"chat": Figures(40, since_s=since_s)}, {}, {})


def told(step: Step) -> list[tuple[str, str, str]]:
    return [(event.kind, event.subject, event.reason) for event in step.events if event.kind.startswith("breaker_")]


def weights(state: State) -> dict[str, int]:
    (route,) = route_table(state).routes
    return dict(route.weights)


def test_its_life_is_told_with_the_evidence_and_the_routes_follow() -> None:
    assert weights(begun()) == {"chat": 100}
    opened = reduce(begun(), bad(), BEGIN_S + 5)
    assert told(opened) == [
        ("breaker_opened", "chat", "40 requests in a row failed or broke off (limit 10); open for 30 s")
    ]
    assert weights(opened.state) == {"code": 100}
    half = reduce(opened.state, TimePassed(), BEGIN_S + 35)
    assert told(half) == [("breaker_half_open", "chat", "was open for 30 s; gets 10 % of its share")]
    assert weights(half.state) == {"chat": 10, "code": 90}
    closed = reduce(half.state, good(BEGIN_S + 35), BEGIN_S + 40)
    assert told(closed) == [("breaker_closed", "chat", "40 of 40 requests went well in 5 s of trying")]
    assert weights(closed.state) == {"chat": 100}
    assert closed.state.durable.breakers["chat"].openings == 0


def test_each_change_of_a_breaker_makes_another_route_table() -> None:
    opened = taken(begun(), BEGIN_S + 5, bad())
    half = taken(opened, BEGIN_S + 35, TimePassed())
    versions = [state.durable.route_version for state in (begun(), opened, half)]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]


def test_it_is_told_once() -> None:
    opened = taken(begun(), BEGIN_S + 5, bad())
    assert told(reduce(opened, bad(), BEGIN_S + 6)) == []


def test_figures_of_before_it_was_tried_do_not_open_it_again() -> None:
    half = taken(begun(), BEGIN_S + 5, bad())
    half = taken(half, BEGIN_S + 35, TimePassed(), bad(BEGIN_S + 5))
    assert half.durable.breakers["chat"].state == "half_open"
    again = taken(half, BEGIN_S + 36, bad(BEGIN_S + 35))
    assert again.durable.breakers["chat"].openings == 2


def test_nothing_to_change_is_the_same_state() -> None:
    quiet = begun()
    assert judge_breakers(quiet) == (quiet, []) and judge_breakers(quiet)[0] is quiet
    opened = taken(quiet, BEGIN_S + 5, bad())
    assert judge_breakers(opened)[0] is opened
    assert judge_breakers(State())[0] == State()


def test_only_what_differs_from_a_closed_one_is_stored() -> None:
    assert begun().durable.breakers == {}
    assert list(taken(begun(), BEGIN_S + 5, bad()).durable.breakers) == ["chat"]


def test_probes_of_all_its_replicas_open_it() -> None:
    failing = ReplicaHealth("timeout", failures=2)
    half_failing = replace(begun(), health={"1": failing, "2": ReplicaHealth()})
    assert judge_breakers(half_failing)[0] is half_failing
    after, events = judge_breakers(replace(begun(), health={"1": failing, "2": failing}))
    assert events == [("breaker_opened", "chat", "all 2 ready replicas fail their probes; open for 30 s")]
    assert judge_breakers(replace(after, now_s=BEGIN_S + 1000))[0].durable.breakers["chat"].state == "open"


def test_a_replica_that_is_busy_or_failed_once_or_was_not_asked_is_not_failing() -> None:
    failing = ReplicaHealth("timeout", failures=2)
    for other in (replace(failing, busy=True), replace(failing, failures=1), None):
        health = {"1": failing} | ({"2": other} if other else {})
        assert judge_breakers(replace(begun(), health=health))[1] == []


def test_probes_open_it_through_the_reducer_when_more_fail_than_may_be_replaced_at_once() -> None:
    state = begun()
    for id in ("1", "2", "1"):
        state = taken(state, BEGIN_S + 1, probed(id, "refused"))
    assert state.durable.breakers == {}  # one of them is on its way out, the other has failed once
    opened = reduce(state, probed("2", "refused"), BEGIN_S + 2)
    assert [kind for kind, _, _ in told(opened)] == ["breaker_opened"]
    assert weights(opened.state) == {"code": 100}


def test_time_alone_makes_one_due() -> None:
    assert not is_breaker_due(begun(), BEGIN_S + 1e6)
    opened = taken(begun(), BEGIN_S + 5, bad())
    assert not is_breaker_due(opened, BEGIN_S + 34)
    assert is_breaker_due(opened, BEGIN_S + 35)
    half = taken(opened, BEGIN_S + 35, TimePassed())
    assert not is_breaker_due(half, BEGIN_S + 1e6)  # nothing was measured yet: it holds
    asked = taken(half, BEGIN_S + 36, Measured({"chat": Figures(since_s=BEGIN_S + 35)}, {}, {}))
    assert not is_breaker_due(asked, BEGIN_S + 64)
    assert is_breaker_due(asked, BEGIN_S + 65)


def test_a_clock_that_is_set_back_makes_none_due() -> None:
    opened = taken(begun(), BEGIN_S + 5, bad())
    assert not is_breaker_due(opened, BEGIN_S - 1000)
    assert told(reduce(opened, TimePassed(), BEGIN_S - 1000)) == []


def test_a_restart_keeps_it_and_time_goes_on() -> None:
    opened = taken(begun(), BEGIN_S + 5, bad())
    stored = DURABLE.validate_json(DURABLE.dump_json(opened.durable))
    back = State(durable=stored, now_s=opened.now_s)
    assert weights(back) == {"code": 100}  # before anything was looked at
    assert taken(back, BEGIN_S + 34, TimePassed()).durable.breakers["chat"].state == "open"
    half = taken(back, BEGIN_S + 35, TimePassed())
    assert half.durable.breakers["chat"].state == "half_open" and weights(half) == {"chat": 10, "code": 90}


def test_a_new_launch_keeps_it_and_a_deployment_that_is_gone_takes_it_along() -> None:
    opened = taken(begun(), BEGIN_S + 5, bad())
    other = taken(opened, BEGIN_S + 6, chosen(BOTH, argv="another"))
    assert other.durable.breakers == opened.durable.breakers
    gone = reduce(opened, chosen(stack(("code", "two"))), BEGIN_S + 6)
    assert gone.state.durable.breakers == {} and told(gone) == []


def test_other_rules_hold_at_once() -> None:
    opened = taken(begun(), BEGIN_S + 5, bad())
    patient = replace(BOTH, breaker=BreakerRules(open_s=5))
    assert told(reduce(opened, StackAmended(patient), BEGIN_S + 11)) == [
        ("breaker_half_open", "chat", "was open for 6 s; gets 10 % of its share")
    ]


def test_what_is_being_stopped_is_not_judged() -> None:
    stopping = replace(begun(), stopping=Stopping(frozenset()), measured=bad().deployments)
    assert judge_breakers(stopping)[0] is stopping


def test_each_deployment_has_its_own() -> None:
    both = Measured({name: Figures(40, 40, failures_in_a_row=40) for name in ("chat", "code")}, {}, {})
    step = reduce(begun(), both, BEGIN_S + 5)
    assert {subject for _, subject, _ in told(step)} == {"chat", "code"}
    assert weights(step.state) == {}  # nobody is left: refused
    assert step.state.durable.breakers["code"] == Breaker("open", BEGIN_S + 5, 1, told(step)[1][2])


def request(id: str, outcome: str, ended_s: float) -> Request:
    return Request(id, id, "default", "chat", "1", 200, outcome, ended_s - 1, 1.0, 0.1)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_what_the_ledger_holds_opens_and_closes_it_more_than_once(tmp_path: Path) -> None:
    """Requests that began before it is tried again say nothing of how it does then, whenever they end."""
    ledger = Ledger(tmp_path)
    state, now_s = begun(), BEGIN_S
    for day in (1, 2):
        now_s += 1000
        await ledger.add([request(f"{day}-{n}", "failed", now_s - n / 10) for n in range(20)])
        state = taken(state, now_s, measure(ledger, state, {}, now_s))
        assert state.durable.breakers["chat"].state == "open"
        await ledger.add([request(f"{day}-late-{n}", "failed", now_s + 10) for n in range(20)])
        stale = measure(ledger, state, {}, now_s + 29)
        state = taken(state, now_s + 29, stale)
        state = taken(state, now_s + 30, TimePassed(), stale)
        assert state.durable.breakers["chat"].state == "half_open"
        await ledger.add([request(f"{day}-long-{n}", "truncated", now_s + 31) for n in range(20)])
        state = taken(state, now_s + 31, measure(ledger, state, {}, now_s + 31))
        assert state.durable.breakers["chat"].state == "half_open"
        await ledger.add([request(f"{day}-good-{n}", "complete", now_s + 32) for n in range(10)])
        state = taken(state, now_s + 32, measure(ledger, state, {}, now_s + 32))
        assert state.durable.breakers["chat"].state == "closed"
    ledger.close()
