"""How many requests a deployment may have in work: by its ready replicas, and by what the file or its policy says."""

from dataclasses import replace

import pytest

from finsight_serve.controller.amendment import obstacles
from finsight_serve.controller.auditing import audit
from finsight_serve.controller.edge import edge_table, inner_table
from finsight_serve.controller.facts import StackAmended
from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import State
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import Route, RouteTable
from finsight_serve.stack.values import Stack

from .worlds import after, chosen, replica, seen, stack

TWO_READY = seen("one", replica("1"), replica("2"), replica("3", state="starting"))


def with_bound(each: int | None, target: float = 10.0) -> Stack:
    plain = stack(("chat", "one"))
    policy = AutoscalingPolicy(max_replicas=4, target_ongoing_requests=target)
    return replace(plain, deployments=(replace(plain.deployments[0], max_ongoing_requests=each, policy=policy),))


def bounds(state: State) -> dict[str, int]:
    return dict(route_table(state).max_ongoing_requests)


@pytest.mark.parametrize(
    ("each", "target", "all_together"),
    [(None, 10.0, 160), (None, 0.4, 8), (12, 10.0, 24), (0, 10.0, None)],
)
def test_it_is_what_each_ready_replica_may_have(each: int | None, target: float, all_together: int | None) -> None:
    state = after(chosen(with_bound(each, target)), TWO_READY)
    assert bounds(state) == ({} if all_together is None else {"chat": all_together})


def test_it_follows_the_replicas() -> None:
    state = after(chosen(with_bound(None)), TWO_READY)
    assert bounds(after(seen("one", replica("1")), state=state)) == {"chat": 80}
    assert bounds(after(seen("one", replica("1", state="draining")), state=state)) == {}


def test_a_running_controller_takes_another_one_and_audits_it() -> None:
    old, new = with_bound(None), with_bound(7)
    assert list(obstacles(old, new)) == []
    before = after(chosen(old), TWO_READY)
    amended = after(StackAmended(new), state=before)
    assert bounds(amended) == {"chat": 14}
    [entry] = audit(before, amended, by="ann")
    assert (entry.action, entry.subject) == ("deployment_changed", "deployment chat")
    assert (entry.before, entry.after) == ("max_ongoing_requests none", "max_ongoing_requests 7")


def test_behind_an_edge_there_is_as_much_room_as_where_it_may_go_has_together() -> None:
    routes = tuple(
        Route(name, (name,), dict.fromkeys(to, 100 // len(to)))
        for name, to in {"a": ["chat"], "b": ["chat", "pods"], "c": ["chat", "free"]}.items()
    )
    table = RouteTable(routes, max_ongoing_requests={"chat": 80, "pods": 20})
    assert edge_table(table, "h:1").max_ongoing_requests == {"chat": 80, "chat+pods": 100}
    assert inner_table(table).max_ongoing_requests == {}
