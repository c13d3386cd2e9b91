"""A deployment's day: the floor by its schedule, the replicas by their events, the requests by the hour."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.domain import AutoscalingPolicy, Event, Window
from finsight_serve.domain.hours import WeeklyHours
from finsight_serve.plugin import Request
from finsight_serve.ui.day import HOUR_S, ready_over_time, span_of_day, stretches

from ..cli.served import NOW_S, Served
from .readings import shown


def event(at_s: float, kind: str, subject: str = "a", deployment: str = "chat") -> Event:
    return Event(at_s, kind, subject, f"of {deployment} at 127.0.0.1:1")


def counted(history: Sequence[Event], ready: set[str], from_s: float = 0.0) -> list[tuple[float, int]]:
    return ready_over_time(stretches(history, ready), from_s).get("chat", [])


def test_replicas_come_and_go() -> None:
    history = [
        event(10, "replica_ready"),
        event(20, "replica_ready", "b"),
        event(25, "replica_ready", "c", "other"),
        event(30, "replica_draining"),
        event(31, "replica_gone"),
    ]
    assert counted(history, {"b", "c"}) == [(10, 1), (20, 2), (30, 1)]
    assert counted(history, {"b", "c"}, from_s=22.0) == [(22.0, 2), (30, 1)], "what was before is where it begins"


def test_a_controller_that_starts_again_tells_of_the_same_replicas() -> None:
    history = [event(10, "replica_ready"), event(40, "stack_chosen", "test"), event(41, "replica_ready")]
    assert counted(history, {"a"}) == [(10, 1)]


def test_who_was_missing_after_a_restart_was_ready_no_longer() -> None:
    history = [event(10, "replica_ready"), event(40, "stack_chosen", "test"), event(41, "replica_ready", "b")]
    assert counted(history, {"b"}) == [(10, 1), (40, 0), (41, 1)]


def test_while_no_controller_runs_what_was_ready_may_still_be() -> None:
    assert counted([event(10, "replica_ready")], set()) == [(10, 1)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ready", "draining", "failed", "gone"]))))
def test_never_fewer_than_none_and_at_last_those_that_are_ready(steps: list[tuple[str, str]]) -> None:
    history = [event(float(n), f"replica_{kind}", who) for n, (who, kind) in enumerate(steps)]
    last = {who: kind for who, kind in steps}
    ready = {who for who, kind in last.items() if kind == "ready"}
    counts = counted(history, ready)
    assert all(count >= 0 for _, count in counts) and [at for at, _ in counts] == sorted({at for at, _ in counts})
    assert (counts[-1][1] if counts else 0) == len(ready)


@pytest.mark.anyio
async def test_the_floor_follows_the_schedule_and_requests_are_by_the_hour(served: Served) -> None:
    from_s, until_s = span_of_day(NOW_S)
    assert (until_s - from_s) == 24 * HOUR_S and from_s < NOW_S < until_s
    opens = WeeklyHours(start="00:00", end="23:00", timezone="UTC")
    policy = AutoscalingPolicy(max_replicas=4, schedule=(Window(weekly=opens, min_replicas=3),))

    def scheduled(durable):  # type: ignore[no-untyped-def]
        first, *rest = durable.stack.deployments
        return replace(durable, stack=replace(durable.stack, deployments=(replace(first, policy=policy), *rest)))

    served.change(scheduled)
    await served.note(
        *(
            Request(id, id, "acme", where, "a", 200, outcome, at_s, 1.0, 0.1)  # type: ignore[arg-type]
            for id, where, outcome, at_s in (
                ("a", "chat", "complete", NOW_S),
                ("b", "chat", "failed", NOW_S),
                ("c", "chat", "complete", NOW_S - 30 * HOUR_S),
                ("d", "", "failed", NOW_S),
            )
        )
    )
    day = shown(served)["day"]
    floors = [one["floor"] for one in day["deployments"]["chat"]["bounds"]]
    assert sorted(set(floors)) == [1, 3]
    hour_s = NOW_S // HOUR_S * HOUR_S
    assert day["deployments"]["chat"]["hours"] == [{"from_s": hour_s, "requests": 2, "failed": 1, "truncated": 0}]
    assert [one["requests"] for one in day["refused"]] == [1] and day["deployments"]["new"]["hours"] == []
