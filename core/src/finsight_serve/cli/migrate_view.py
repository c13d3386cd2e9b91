"""Migrations as rows and lines for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.wording import counted
from ..errors import UserError
from .output import Shown
from .times import clock_time, iso_time

if TYPE_CHECKING:
    from ..controller.measuring import Counts, StepFigures
    from ..domain.migration import Migration
    from ..plugin import Feature
    from ..stack import Stack
    from ..store import Ledger

NO_CONTROLLER = "no controller runs here; `fs serve` starts one"


def short_phase(migration: "Migration") -> str:
    """ "shifting 10 %, paused"."""
    share = f" {migration.rules.steps[migration.step]} %" if migration.phase == "shifting" else ""
    return migration.phase.replace("_", " ") + share + (", paused" if migration.paused else "")


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
    from ..controller import assembly
    from ..host import Host

    lacks: Mapping[Feature, str] = {}
    with suppress(UserError):
        lacks = assembly.balancer_lacks(stack, Host())
    return lacks


def step_rows(migration: "Migration", ledger: "Ledger") -> "list[StepFigures]":
    """What each step routed, the destination first; what was refused is called so."""
    from ..controller.measuring import steps_of

    return [replace(step, deployment=step.deployment or "refused") for step in steps_of(migration, ledger)]


def shown_steps(steps: "Sequence[StepFigures]") -> Shown:
    """In a table a step's versions of the route table are one column: "3-4", of the last one "from 5"."""
    return Shown(steps, [_in_words(step) for step in steps])


def _in_words(step: "StepFigures") -> Mapping[str, object]:
    row = asdict(step)
    percent, first, until = row.pop("percent"), row.pop("from_version"), row.pop("until_version")
    versions = f"from {first}" if until is None else f"{first}" if until - first == 1 else f"{first}-{until - 1}"
    return {"percent": percent, "versions": versions, **row}


def row(migration: "Migration", ledger: "Ledger") -> Mapping[str, object]:
    """Its values. The counts are of the requests that went to the destination, since the first step."""
    from ..domain.migration import weights

    return {
        "id": migration.id,
        "tenant": migration.tenant,
        "from": dict(migration.source),
        "to": migration.destination,
        "phase": migration.phase,
        "step": migration.step + 1 if migration.phase == "shifting" else None,
        "steps_percent": list(migration.rules.steps),
        "percent": weights(migration).get(migration.destination, 0),
        "paused": migration.paused,
        **asdict(counts(migration, ledger)),
        "asked_at": iso_time(migration.asked_s),
        "ended_at": ended_at(migration),
        "by": migration.asked_by,
        "reason": migration.reason,
    }


def ended_at(migration: "Migration") -> str | None:
    from ..domain.migration import OVER

    return iso_time(migration.since_s) if migration.phase in OVER else None


def shown_list(migrations: "Iterable[Migration]", ledger: "Ledger") -> Shown:
    """In a table only what fits a terminal; the reason is in `fs migrate status ID`."""
    from ..controller.routing import describe_weights

    chosen = list(migrations)
    rows = [row(migration, ledger) for migration in chosen]
    table = [
        {
            **{key: value for key, value in values.items() if key in ("id", "tenant")},
            "from": describe_weights(migration.source),
            "to": migration.destination,
            "phase": short_phase(migration),
            **{key: values[key] for key in ("requests", "failed", "truncated", "unknown")},
            "asked": clock_time(migration.asked_s)[len("2026-") : -len(":00")],
            "by": migration.asked_by,
        }
        for migration, values in zip(chosen, rows, strict=True)
    ]
    return Shown(rows, table)


def shown_row(migration: "Migration", ledger: "Ledger") -> Shown:
    from ..controller.routing import describe_weights
    from ..domain.migration import OVER

    values = row(migration, ledger)
    return Shown(
        values,
        {
            "id": migration.id,
            "tenant": migration.tenant,
            "from": describe_weights(migration.source),
            "to": migration.destination,
            "phase": describe_phase(migration),
            "moved": in_brief(migration, ledger),
            "asked": clock_time(migration.asked_s),
            **({"ended": clock_time(migration.since_s)} if migration.phase in OVER else {}),
            "by": migration.asked_by,
            "reason": migration.reason,
        },
    )


def counts(migration: "Migration", ledger: "Ledger") -> "Counts":
    """Of the requests that went to the destination, since the first step."""
    from ..controller.measuring import count

    return count(step for step in step_rows(migration, ledger) if step.deployment == migration.destination)


def in_brief(migration: "Migration", ledger: "Ledger") -> str:
    """ "34 requests, 0 failed, 0 truncated there"."""
    from ..controller.measuring import describe_counts

    return f"{describe_counts(counts(migration, ledger))} there"


def result(migration: "Migration", ledger: "Ledger", lacks: "Mapping[Feature, str]") -> list[str]:
    """Of one that is over: what became of it, why, and what the ledger says of all the tenant's requests meanwhile."""
    ended = {"done": "is at", "rolled_back": "was rolled back from", "failed": "was not moved to"}[migration.phase]
    lines = [f"{migration.tenant} {ended} {migration.destination}"]
    for line in (migration.reason, migration.proof, in_all(migration, ledger, lacks)):
        if not any(line in earlier for earlier in lines):
            lines.append(line)
    return lines


def in_all(migration: "Migration", ledger: "Ledger", lacks: "Mapping[Feature, str]") -> str:
    """ "178 requests in all, 92 of them at chat-next: 0 failed, 0 truncated"."""
    from ..controller.measuring import count, describe_losses, unproven

    steps = step_rows(migration, ledger)
    if why := unproven(migration, steps, lacks):
        return why
    every, there = count(steps), counts(migration, ledger)
    requests = counted(every.requests, "request")
    return f"{requests} in all, {there.requests:,} of them at {migration.destination}: {describe_losses(every)}"
