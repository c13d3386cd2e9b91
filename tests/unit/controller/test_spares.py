"""Which deployment answers for another in the seconds before anybody notices that its replicas are gone."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from finsight_serve.controller.routing import route_table
from finsight_serve.controller.state import State
from finsight_serve.domain.breaker import Breaker

from .worlds import after, chosen, replica, seen, stack

DEPLOYMENTS = (("chat", "one"), ("beside", "one"), ("away", "two"))
READY = {"chat": "one", "beside": "one", "away": "two"}


def world(ready: Mapping[str, str] = READY, models: Mapping[str, str] | None = None) -> State:
    fact = chosen(stack(*DEPLOYMENTS))
    looks = [
        seen(backend, *(replica(name, name) for name, at in ready.items() if at == backend))
        for backend in ("one", "two")
    ]
    return after(replace(fact, served_models={**fact.served_models, **(models or {})}), *looks)


def spares(state: State) -> dict[str, str]:
    return dict(route_table(state).spares)


def test_one_of_another_backend_as_one_may_be_lost_whole() -> None:
    assert spares(world()) == {"chat": "away", "beside": "away", "away": "chat"}


def test_one_beside_it_where_there_is_no_other() -> None:
    assert spares(world(ready={"chat": "one", "beside": "one"})) == {"chat": "beside", "beside": "chat"}


def test_none_that_answers_by_another_model() -> None:
    assert spares(world(models={"away": "another"})) == {"chat": "beside", "beside": "chat"}


@pytest.mark.parametrize("breaker", ["open", "half_open"])
def test_none_whose_breaker_is_not_closed(breaker: str) -> None:
    state = world()
    state = replace(state, durable=replace(state.durable, breakers={"away": Breaker(state=breaker)}))  # type: ignore[arg-type]
    found = spares(state)
    assert (found["chat"], found["beside"]) == ("beside", "chat")
    assert ("away" in found) == (breaker == "half_open"), "open, nothing is sent there that could fail"


def test_none_without_a_stack_or_without_a_ready_replica() -> None:
    assert spares(State()) == {}
    assert spares(world(ready={"chat": "one"})) == {}
