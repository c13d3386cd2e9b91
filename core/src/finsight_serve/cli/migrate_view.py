"""Migrations as rows and lines for people."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from ..controller.measuring import StepFigures
    from ..domain.migration import Migration
    from ..plugin import Feature
    from ..stack import Stack
    from ..store import Ledger

NO_CONTROLLER = "no controller runs here; `fs serve` starts one"


def span(duration_s: float) -> str:
    """Two units at most: "45 s", "2 min 30 s", "6 h"."""
    whole_s = round(duration_s)
    for unit, unit_s, lower, lower_s in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole_s >= unit_s:
            rest = whole_s % unit_s // lower_s
            return f"{whole_s // unit_s} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{duration_s:.2g} s" if duration_s < 1 else f"{whole_s} s"


def describe_phase(migration: "Migration") -> str:
    """ "shifting 10 % (step 2 of 4), paused"."""
    text = migration.phase.replace("_", " ")
    if migration.phase == "shifting":
        steps = migration.rules.steps
        text += f" {steps[migration.step]} % (step {migration.step + 1} of {len(steps)})"
    return text + (", paused" if migration.paused else "")


@contextmanager
def opened_ledger(folder: Path) -> "Iterator[Ledger]":
    from ..store import Ledger

    with closing(Ledger(folder, read_only=True)) as ledger:
        yield ledger


def balancer_lacks(stack: "Stack") -> "Mapping[Feature, str]":
    """Of a plugin that is no longer installed nothing is known: then the rows speak for themselves."""
    from ..host import Host

    lacks: Mapping[Feature, str] = {}
    with suppress(UserError):
        lacks = Host().load("load_balancer", stack.load_balancer.plugin).lacks
    return lacks


def step_rows(migration: "Migration", ledger: "Ledger") -> "list[StepFigures]":
    """What each step routed, the destination first; what was refused is called so."""
    from ..controller.measuring import steps_of

    return [replace(step, deployment=step.deployment or "refused") for step in steps_of(migration, ledger)]


def row(migration: "Migration", ledger: "Ledger") -> Mapping[str, object]:
    """Requests are those at the destination, since the first step."""
    from datetime import datetime

    from ..controller.routing import describe_weights

    return {
        "id": migration.id,
        "tenant": migration.tenant,
        "from": describe_weights(migration.source),
        "to": migration.destination,
        "phase": describe_phase(migration),
        **counts(migration, ledger),
        "asked": f"{datetime.fromtimestamp(migration.asked_s):%Y-%m-%d %H:%M:%S}",
        "by": migration.asked_by,
        "reason": migration.reason,
    }


def counts(migration: "Migration", ledger: "Ledger") -> Mapping[str, int]:
    """Of the requests that went to the destination, since the first step."""
    own = [step for step in step_rows(migration, ledger) if step.deployment == migration.destination]
    return {name: sum(getattr(step, name) for step in own) for name in ("requests", "failed", "truncated")}


def in_brief(migration: "Migration", ledger: "Ledger") -> str:
    """ "34 requests, 0 failed, 0 truncated there"."""
    return ", ".join(f"{number:,} {what}" for what, number in counts(migration, ledger).items()) + " there"


def result(migration: "Migration", ledger: "Ledger", lacks: "Mapping[Feature, str]") -> list[str]:
    """Of one that is over: what became of it, why, and what the ledger says of all the tenant's requests meanwhile."""
    from ..controller.measuring import proof

    ended = {"done": "is at", "rolled_back": "was rolled back from", "failed": "was not moved to"}[migration.phase]
    why = (migration.reason, migration.proof, proof(migration, ledger, lacks))
    return [f"{migration.tenant} {ended} {migration.destination}", *dict.fromkeys(line for line in why if line)]
