"""What an `fs serve` would change: every artefact of the wants, and the difference to what is in force now."""

import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

import anyio

from ..plugin import Actuator, Artefact, Observed, Plan
from .controller import Parts
from .facts import Fact, Seen, Unseen
from .fidelity import all_grades
from .reduce import reduce
from .routing import route_table
from .state import LOAD_BALANCER, State
from .want import Wants, want

LOOK_TIMEOUT_S = 20.0

Action = Literal["create", "change", "remove", "keep"]


@dataclass(frozen=True)
class Change:
    backend: str  # "" for the load balancer
    artefact: str
    action: Action
    diff: str  # unified; for a secret artefact only the fact


@dataclass(frozen=True)
class Fidelity:
    """How well a backend does what one field of a deployment's policy says."""

    backend: str
    deployment: str
    field: str
    verdict: str
    note: str


@dataclass(frozen=True)
class Preview:
    changes: tuple[Change, ...]
    fidelity: tuple[Fidelity, ...]
    unknown: tuple[str, ...]  # what could not be looked at, and why


async def preview(state: State, fact: Fact, parts: Parts, now_s: float) -> Preview:
    """Looks at everything once, changes nothing. `state` is the stored one, `fact` the stack to be chosen."""
    state = reduce(state, fact, now_s).state
    actuators: Mapping[str, Actuator[Any]] = {**parts.orchestrators, LOAD_BALANCER: parts.load_balancer}
    for backend, actuator in actuators.items():
        state = reduce(state, await look_once(backend, actuator), now_s).state
    # as if its routes were in force: only then is emptied what it leaves behind
    wants = want(replace(state, routes_in_force=state.durable.route_version))
    plans = dict(_compile(wants, state, actuators))
    return Preview(
        tuple(
            change for backend, plan in plans.items() for change in compare(backend, plan, state.observed.get(backend))
        ),
        tuple(_fidelity(state, plans)),
        tuple(f"{backend or 'load balancer'}: {reason}" for backend, reason in state.unreachable.items()),
    )


async def look_once(backend: str, actuator: Actuator[Any]) -> Seen | Unseen:
    """Its first snapshot, or why there is none within `LOOK_TIMEOUT_S`."""
    try:
        with anyio.fail_after(LOOK_TIMEOUT_S):
            async with aclosing(actuator.observe()) as snapshots:  # type: ignore[type-var]
                async for seen in snapshots:
                    return Seen(backend, seen)
        return Unseen(backend, "shows nothing")
    except Exception as error:
        return Unseen(backend, f"{type(error).__name__}: {error}")


def _compile(wants: Wants, state: State, actuators: Mapping[str, Actuator[Any]]) -> Iterator[tuple[str, Plan]]:
    for backend, specs in wants.backends.items():
        yield backend, actuators[backend].compile(specs)
    yield LOAD_BALANCER, actuators[LOAD_BALANCER].compile(route_table(state))


def _fidelity(state: State, plans: Mapping[str, Plan]) -> Iterator[Fidelity]:
    for deployment in state.durable.stack.deployments if state.durable.stack else ():
        plan = plans[deployment.backend]
        found = {field: grade for (name, field), grade in plan.fidelity.items() if name == deployment.name}
        for field, grade in all_grades(deployment.policy, found, exported=False).items():
            yield Fidelity(deployment.backend, deployment.name, field, grade.verdict, grade.note)


def compare(backend: str, plan: Plan, seen: Observed | None) -> Iterator[Change]:
    """The plan's artefacts against those in force, then those in force that the plan no longer has."""
    in_force = {a.name: a for a in (seen.in_force or ())} if seen is not None else {}
    for artefact in plan.artefacts:
        old = in_force.pop(artefact.name, None)
        if old is None:
            yield Change(backend, artefact.name, "create", _diff(None, artefact))
        elif old.body == artefact.body:
            yield Change(backend, artefact.name, "keep", "")
        else:
            yield Change(backend, artefact.name, "change", _diff(old, artefact))
    for artefact in in_force.values():
        yield Change(backend, artefact.name, "remove", _diff(artefact, None))


def _diff(old: Artefact | None, new: Artefact | None) -> str:
    if any(artefact is not None and artefact.secret for artefact in (old, new)):
        return "(secret: not shown)\n"
    before, after = _lines(old), _lines(new)
    return "".join(difflib.unified_diff(before, after, "in force" if old else "none", "planned" if new else "none"))


def _lines(artefact: Artefact | None) -> list[str]:
    if artefact is None:
        return []
    body = artefact.body
    text = body if isinstance(body, str) else json.dumps(body, indent=2, sort_keys=True, default=str)
    return [line + "\n" for line in text.splitlines()]
