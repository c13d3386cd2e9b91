from finsight_serve.controller.facts import NotApplied, Probed, Seen
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import LOAD_BALANCER, ReplicaLoad, State
from finsight_serve.controller.status import Status, describe, what_is_awaited
from finsight_serve.plugin import Ceiling, Observed

from .worlds import chosen, probed, replica, seen, stack


def status(*facts: object) -> Status:
    state = State()
    for fact in (chosen(stack(("chat", "one"))), *facts):
        state = reduce(state, fact, 1.0).state  # type: ignore[arg-type]
    return describe(
        state, controller="running, pid 1", url="http://127.0.0.1:1", ledger=(), events=(), ceilings=CEILINGS
    )


CEILINGS = {"one": Ceiling(5, "one process decides")}
EDGE_SEEN = Seen(LOAD_BALANCER, Observed(open_streams={("default", "chat"): 3, ("other", "chat"): 9}))


def test_before_anything_was_served_there_is_nothing_to_show() -> None:
    empty = describe(State(), controller="not running", url="", ledger=(), events=(), ceilings={})
    assert (empty.load_balancer, empty.deployments) == ("nothing was served yet", ())


def test_load_is_summed_over_the_replicas_that_say() -> None:
    load = Probed("1", "ok", False, ReplicaLoad(running=3, waiting=1))
    found = status(seen("one", replica("1"), replica("2"), replica("3", state="starting")), load)
    assert [(d.ready, d.starting, d.running, d.waiting) for d in found.deployments] == [(2, 1, 3, 1)]


def test_each_kind_of_failure_has_its_word() -> None:
    facts = [seen("one", replica("1"), replica("2"), replica("3"))]
    found = status(*facts, probed("1", "refused"), probed("2", "timeout", moved=True))
    assert {r.id: r.health for r in found.replicas} == {"1": "refused (1 counted)", "2": "busy", "3": "not probed yet"}


def test_an_evicted_replica_is_shown_as_such() -> None:
    found = status(seen("one", replica("1")), probed("1", "wrong"), probed("1", "wrong"))
    assert [r.state for r in found.replicas] == ["evicting"]


def test_open_requests_are_counted_per_tenant() -> None:
    assert [(t.name, t.open_requests) for t in status(EDGE_SEEN).tenants] == [("default", 3)]
    assert [t.open_requests for t in status().tenants] == [None]


def test_what_is_awaited_names_the_part_that_keeps_it_waiting() -> None:
    assert list(what_is_awaited(status(EDGE_SEEN, seen("one", replica("1", state="starting"))))) == [
        "chat: 0 ready, 1 starting"
    ]
    refused = NotApplied(LOAD_BALANCER, "cannot load certificate")
    assert list(what_is_awaited(status(EDGE_SEEN, seen("one", replica("1")), refused))) == [
        "load balancer: not applied"
    ]


def test_what_a_backend_says_of_its_autoscaler_and_endpoint_is_shown() -> None:
    says = Observed((replica("1"),), refs={"chat": "k8s://c/n/chat:8000"}, notes={"chat": "KEDA ready"})
    (found,) = status(Seen("one", says)).deployments
    assert (found.autoscaler, found.endpoint) == ("KEDA ready", "k8s://c/n/chat:8000")
    (silent,) = status(seen("one", replica("1"))).deployments
    assert (silent.autoscaler, silent.endpoint) == ("", "")


def test_near_a_backends_ceiling_it_gives_notice() -> None:
    (advice,) = status().advice
    assert advice.startswith(
        "deployment chat may have 4 replicas, and one is advised for 5 (one process decides): move"
    )


def test_far_from_the_ceiling_there_is_no_advice() -> None:
    assert not CEILINGS["one"].is_near(3)
    assert CEILINGS["one"].is_near(4) and CEILINGS["one"].is_near(9)
