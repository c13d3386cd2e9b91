from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from finsight_serve.controller.measuring import BASELINE_S, StepFigures, measure, proof, span_of, steps_of
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import MigrationFigures, State
from finsight_serve.domain.breaker import Breaker, BreakerRules
from finsight_serve.domain.figures import Figures
from finsight_serve.domain.migration import Migration, ShiftRecord
from finsight_serve.plugin import Feature, Request
from finsight_serve.store import Ledger

from .worlds import chosen, stack

NOW_S = 1_800_000_000.0
RULES = BreakerRules(window_s=30.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def add(ledger: Ledger, *requests: Request) -> None:
    anyio.run(ledger.add, requests)


def request(id: str, deployment: str = "chat", version: int = 1, **changes: Any) -> Request:
    """Of the tenant `default`: a whole answer that ended a second ago."""
    whole = Request("1", id, "default", deployment, "127.0.0.1:1", 200, "complete", NOW_S - 2, 1.0, 0.1, version)
    return replace(whole, **changes)


def failed(id: str, deployment: str = "chat", version: int = 1, **changes: Any) -> Request:
    return request(id, deployment, version, **{"status": 500, "outcome": "failed", "ttft_s": None, **changes})


def migration(**changes: Any) -> Migration:
    return replace(Migration("m1", "default", {"chat": 100}, "other"), **changes)


def world(*migrations: Migration, breakers: dict[str, Breaker] | None = None) -> State:
    two = replace(stack(("chat", "ray"), ("other", "local")), breaker=RULES)
    state = reduce(State(), chosen(two), NOW_S - 100).state
    durable = replace(state.durable, migrations={one.id: one for one in migrations}, breakers=breakers or {})
    return replace(state, durable=durable)


def test_nothing_is_measured_of_no_stack(ledger: Ledger) -> None:
    measured = measure(ledger, State(), {}, NOW_S)
    assert (measured.deployments, measured.migrations) == ({}, {})


def test_every_deployment_has_its_window(ledger: Ledger) -> None:
    add(
        ledger,
        request("new"),
        failed("just within", started_s=NOW_S - 40, duration_s=11.0),
        failed("too old", started_s=NOW_S - 40, duration_s=9.0),
        request("elsewhere", "other"),
        failed("nowhere", ""),
    )
    measured = measure(ledger, world(), {}, NOW_S)
    assert measured.deployments == {
        "chat": Figures(2, 1, 0, 0, 0.1, 0.1, newest=2),
        "other": Figures(1, 0, 0, 0, 0.1, 0.1, newest=1),
    }


@pytest.mark.parametrize("now_in", ["half_open", "closed"])
def test_what_was_before_a_breaker_changed_counts_no_more(ledger: Ledger, now_in: Any) -> None:
    add(ledger, failed("before", started_s=NOW_S - 12), request("since", started_s=NOW_S - 5))
    state = world(breakers={"chat": Breaker(now_in, since_s=NOW_S - 10)})
    measured = measure(ledger, state, {}, NOW_S).deployments["chat"]
    assert measured == Figures(1, 0, 0, 0, 0.1, 0.1, since_s=NOW_S - 10, newest=1)


def test_what_was_routed_before_it_is_tried_again_does_not_count_however_late_it_ends(ledger: Ledger) -> None:
    add(ledger, failed("long", started_s=NOW_S - 60, duration_s=55.0))
    state = world(breakers={"chat": Breaker("half_open", since_s=NOW_S - 10)})
    assert measure(ledger, state, {}, NOW_S).deployments["chat"].requests == 0


def test_while_it_is_tried_again_all_counts_since_it_is(ledger: Ledger) -> None:
    add(ledger, request("before", started_s=NOW_S - 102), request("since", started_s=NOW_S - 98))
    state = world(breakers={"chat": Breaker("half_open", since_s=NOW_S - 100)})
    assert measure(ledger, state, {}, NOW_S).deployments["chat"].requests == 1
    closed = world(breakers={"chat": Breaker("closed", since_s=NOW_S - 100)})
    assert measure(ledger, closed, {}, NOW_S).deployments["chat"].requests == 0


def test_an_idle_stack_measures_the_same_each_time(ledger: Ledger) -> None:
    add(ledger, request("long ago", started_s=NOW_S - 1000))
    assert measure(ledger, world(), {}, NOW_S) == measure(ledger, world(), {}, NOW_S + 100)


@pytest.mark.parametrize("phase", ["preparing", "probing", "shadowing"])
def test_before_anything_is_moved_there_is_the_tenants_last_day(ledger: Ledger, phase: Any) -> None:
    add(
        ledger,
        request("old", started_s=NOW_S - BASELINE_S - 1),
        request("day", started_s=NOW_S - BASELINE_S + 1),
        failed("now"),
        request("of another", tenant="zeta"),
        request("where it goes", "other"),
    )
    figures = measure(ledger, world(migration(phase=phase)), {}, NOW_S).migrations["m1"]
    assert figures == MigrationFigures(source=Figures(2, 1, 0, 1, 0.1, 0.1, newest=2))


@pytest.mark.parametrize("phase", ["shifting", "draining", "rolling_back"])
def test_a_step_is_measured_on_both_sides_from_its_first_route_table_on(ledger: Ledger, phase: Any) -> None:
    add(
        ledger,
        request("before all", "other", version=2),
        request("a step before", "other", version=4, outcome="truncated"),
        request("moved", "other", version=5, ttft_s=0.5),
        failed("moved later", "other", version=6, started_s=NOW_S - 3),
        request("stayed", version=6),
        failed("of another", "other", version=6, tenant="zeta"),
    )
    records = (ShiftRecord(1, NOW_S - 50, 3), ShiftRecord(10, NOW_S - 10, 5))
    figures = measure(ledger, world(migration(phase=phase, records=records)), {}, NOW_S).migrations["m1"]
    of_step, at_source = Figures(2, 1, 0, 0, 0.5, 0.5, newest=2), Figures(1, 0, 0, 0, 0.1, 0.1, newest=1)
    of_all = Figures(3, 1, 1, 1, 0.5, 0.5, newest=3)
    assert figures == MigrationFigures(of_step, at_source, 5, of_all)


def test_in_the_first_step_all_steps_are_this_one(ledger: Ledger) -> None:
    add(ledger, request("moved", "other", version=5))
    first = migration(phase="shifting", records=(ShiftRecord(1, NOW_S - 50, 5),))
    figures = measure(ledger, world(first), {}, NOW_S).migrations["m1"]
    assert figures.since_first == figures.destination == Figures(1, 0, 0, 0, 0.1, 0.1, newest=1)


@pytest.mark.parametrize(
    "absent",
    [
        migration(phase="planned"),
        migration(phase="shifting", records=(ShiftRecord(1, NOW_S),)),
        migration(phase="shifting", records=(ShiftRecord(1, NOW_S, 3), ShiftRecord(10, NOW_S))),
        migration(phase="done", records=(ShiftRecord(100, NOW_S, 3),)),
    ],
)
def test_what_has_no_route_table_yet_or_is_over_is_not_measured(ledger: Ledger, absent: Migration) -> None:
    add(ledger, request("any", "other", version=3))
    assert measure(ledger, world(absent), {}, NOW_S).migrations == {}


def test_two_sources_are_measured_together(ledger: Ledger) -> None:
    both = migration(phase="shifting", source={"chat": 50, "spare": 30, "other": 20}, records=(ShiftRecord(1, 0, 2),))
    add(ledger, request("a", version=2), failed("b", "spare", version=2), request("c", "other", version=2))
    figures = measure(ledger, world(both), {}, NOW_S).migrations["m1"]
    assert (figures.source.requests, figures.source.failed, figures.destination.requests) == (2, 1, 1)


MOVED = migration(
    phase="done",
    since_s=NOW_S,
    records=(
        ShiftRecord(10, NOW_S - 90, 3),
        ShiftRecord(50, NOW_S - 60, 5),
        ShiftRecord(100, NOW_S - 30, 5),
        ShiftRecord(100, NOW_S - 20, 8),
    ),
)


@pytest.fixture
def moved(ledger: Ledger) -> Ledger:
    add(
        ledger,
        request("before", version=2),
        request("1", version=3),
        failed("2", version=4),
        failed("3", "", version=4, status=503, replica=""),
        request("4", "other", version=5, outcome="truncated"),
        request("5", "other", version=7, outcome="client_closed", status=499),
        request("6", "other", version=7, outcome="unknown", status=0, replica=""),
        request("7", version=7),
        request("8", "other", version=9),
        request("of another", "other", version=9, tenant="zeta"),
        request("after", "other", version=9, started_s=NOW_S + 1),
    )
    return ledger


def test_each_step_owns_the_requests_that_it_routed(moved: Ledger) -> None:
    assert steps_of(MOVED, moved) == (
        StepFigures(10, 3, 5, "other"),
        StepFigures(10, 3, 5, "", 1, failed=1),
        StepFigures(10, 3, 5, "chat", 2, complete=1, failed=1),
        StepFigures(100, 5, 8, "other", 3, truncated=1, client_closed=1, unknown=1),
        StepFigures(100, 5, 8, "chat", 1, complete=1),
        StepFigures(100, 8, None, "other", 1, complete=1),
    )


def test_the_proof_is_of_the_whole_migration_and_no_more(moved: Ledger) -> None:
    assert proof(MOVED, moved) == "8 requests, 2 failed, 1 truncated (1 client closed, 1 unknown)"
    assert (
        proof(replace(MOVED, phase="draining"), moved)
        == "9 requests, 2 failed, 1 truncated (1 client closed, 1 unknown)"
    )
    assert proof(replace(MOVED, records=MOVED.records[-1:]), moved) == "1 request, 0 failed, 0 truncated"
    assert {row.id for row in moved.rows(span_of(MOVED))} == {"1", "2", "3", "4", "5", "6", "7", "8"}


def test_the_proof_says_so_where_there_is_none(moved: Ledger) -> None:
    lacks = {Feature.LEDGER: "it writes no log"}
    assert proof(MOVED, moved, lacks) == "unproven: the load balancer keeps no ledger: it writes no log"
    never = migration(phase="failed", since_s=NOW_S)
    assert proof(never, moved) == "nothing was moved"
    assert proof(migration(phase="probing"), moved) == "nothing has been moved yet"
    assert (steps_of(never, moved), list(moved.rows(span_of(never)))) == ((), [])
