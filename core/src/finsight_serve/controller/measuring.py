"""What the ledger says now: of each deployment, of each migration's step, and of a whole migration."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import zip_longest

from ..domain.breaker import Breaker
from ..domain.figures import Figures
from ..domain.migration import OVER, Migration
from ..domain.shadow import ShadowReport
from ..domain.wording import counted
from ..plugin import Feature
from ..stack.values import Stack
from ..store import Ledger, Totals
from ..store.ledger import Selection
from .facts import Measured
from .migrating import running_migrations
from .state import MigrationFigures, State

BASELINE_S = 24 * 3600.0
"""How far back a tenant's figures go that a migration is compared with."""
BEFORE_SHIFTING = frozenset({"preparing", "probing", "shadowing"})


@dataclass(frozen=True)
class StepFigures:
    """A tenant's requests at one deployment that one step of its migration routed: `until_version` excluded.

    Deployment "": refused. `until_version` None: the step is the last, and ended with the migration if that is over.
    """

    percent: int
    from_version: int
    until_version: int | None
    deployment: str
    requests: int = 0
    complete: int = 0
    failed: int = 0
    truncated: int = 0
    client_closed: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Counts:
    """Of some steps' requests, together."""

    requests: int
    failed: int
    truncated: int
    client_closed: int
    unknown: int


def measure(ledger: Ledger, state: State, shadows: Mapping[str, ShadowReport], now_s: float) -> Measured:
    """Milliseconds at any size of the ledger; for a thread. Raises `StoreError`.

    A migration is absent whose present step has no route table yet.
    """
    stack = state.durable.stack
    figures = ((one.id, _migration_figures(ledger, one, now_s)) for one in running_migrations(state.durable))
    return Measured(
        _windows(ledger, stack, state.durable.breakers, now_s) if stack else {},
        {id: found for id, found in figures if found is not None},
        shadows,
    )


def _windows(ledger: Ledger, stack: Stack, breakers: Mapping[str, Breaker], now_s: float) -> Mapping[str, Figures]:
    names = [deployment.name for deployment in stack.deployments]
    window_s = stack.breaker.window_s
    return {name: _window(ledger, name, breakers.get(name, Breaker()), window_s, now_s) for name in names}


def _window(ledger: Ledger, deployment: str, breaker: Breaker, window_s: float, now_s: float) -> Figures:
    """Since the breaker's present state began: what came before was judged then.

    While it is tried, only of requests that began since: others end now that were routed before it was opened.
    `since_s` is that beginning and not the window's, which moves: an idle deployment's figures stay as they are.
    """
    if breaker.state == "half_open":
        found = ledger.window(deployment, breaker.since_s, began_after_s=breaker.since_s)
    else:
        found = ledger.window(deployment, max(now_s - window_s, breaker.since_s))
    return replace(found, since_s=breaker.since_s)


def _migration_figures(ledger: Ledger, migration: Migration, now_s: float) -> MigrationFigures | None:
    sources = [name for name in migration.source if name != migration.destination]
    if migration.phase in BEFORE_SHIFTING:
        return MigrationFigures(source=ledger.figures(migration.tenant, sources, since_s=now_s - BASELINE_S))
    version = migration.records[-1].from_version if migration.records else 0
    if not version:
        return None
    of_step = ledger.figures(migration.tenant, [migration.destination], from_version=version)
    first = next(record.from_version for record in migration.records if record.from_version)
    of_all = of_step
    if first != version:
        of_all = ledger.figures(migration.tenant, [migration.destination], from_version=first)
    return MigrationFigures(
        of_step, ledger.figures(migration.tenant, sources, from_version=version), version, since_first=of_all
    )


def steps_of(migration: Migration, ledger: Ledger) -> tuple[StepFigures, ...]:
    """In order of the steps, the destination first in each, even where it saw nothing."""
    return tuple(_steps(migration, ledger))


def _steps(migration: Migration, ledger: Ledger) -> Iterator[StepFigures]:
    records = [record for record in migration.records if record.from_version]
    for record, following in zip_longest(records, records[1:]):
        until = following.from_version if following else None
        if until == record.from_version:
            continue  # another began before a request could come
        span = replace(span_of(migration), from_version=record.from_version, until_version=until)
        found = {one.deployment: one for one in ledger.totals_of(span)}
        destination = found.pop(migration.destination, None) or _nothing(migration)
        for one in (destination, *found.values()):
            yield StepFigures(
                record.percent,
                record.from_version,
                until,
                one.deployment,
                one.requests,
                one.complete,
                one.failed,
                one.truncated,
                one.client_closed,
                one.unknown,
            )


def _nothing(migration: Migration) -> Totals:
    return Totals(migration.tenant, migration.destination, 0, 0, 0, 0, 0, 0)


def span_of(migration: Migration) -> Selection:
    """The tenant's requests from the first step on, until the migration is over. Nothing where nothing was moved.

    What begins after that is no longer its doing, though the route table may still be its last.
    """
    until_s = migration.since_s if migration.phase in OVER else math.inf
    first = next((record.from_version for record in migration.records if record.from_version), None)
    if first is None:
        return Selection(migration.tenant, until_version=0)
    return Selection(migration.tenant, from_version=first, until_s=until_s)


def proof(migration: Migration, ledger: Ledger, balancer_lacks: Mapping[Feature, str] | None = None) -> str:
    """Of all the tenant's requests from the migration's first step until it is over, or until now."""
    steps = steps_of(migration, ledger)
    return unproven(migration, steps, balancer_lacks or {}) or describe_counts(count(steps))


def unproven(migration: Migration, steps: Sequence[StepFigures], balancer_lacks: Mapping[Feature, str]) -> str:
    """Why there is nothing to count; "" where there is."""
    if reason := balancer_lacks.get(Feature.LEDGER):
        return f"unproven: the load balancer keeps no ledger: {reason}"
    if not steps:
        return "nothing was moved" if migration.phase in OVER else "nothing has been moved yet"
    return ""


def count(steps: Iterable[StepFigures]) -> Counts:
    steps = tuple(steps)
    return Counts(*(sum(getattr(step, field.name) for step in steps) for field in fields(Counts)))


def describe_counts(counts: Counts) -> str:
    """ "8 requests, 2 failed, 1 truncated (1 unknown)"."""
    return f"{counted(counts.requests, 'request')}, {describe_losses(counts)}"


def describe_losses(counts: Counts) -> str:
    what = ((counts.client_closed, "client closed"), (counts.unknown, "unknown"))
    aside = ", ".join(f"{number:,} {name}" for number, name in what if number)
    return f"{counts.failed:,} failed, {counts.truncated:,} truncated" + (f" ({aside})" if aside else "")
