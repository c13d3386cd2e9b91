"""What `fs ledger` shows, as rows and sections."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from .output import Section, Shown

if TYPE_CHECKING:
    from ..controller.state import Durable
    from ..domain.figures import Figures
    from ..domain.migration import Migration
    from ..store import Ledger
    from ..store.ledger import Selection

TOKENS = ("prompt_tokens", "completion_tokens", "by_chunks", "uncounted")


def show_all(ledger: "Ledger", selection: "Selection") -> object:
    return ledger.totals(since_s=selection.since_s, deployment=selection.deployment)


def show_tenant(ledger: "Ledger", selection: "Selection") -> object:
    """By deployment, with tokens and times to first token; in a table those are a section of their own."""
    tenant, deployment, since_s = selection.tenant or "", selection.deployment, selection.since_s
    used = {
        one.deployment: asdict(one) for one in ledger.usage(since_s, math.inf, tenant=tenant, deployment=deployment)
    }
    totals = ledger.totals(since_s=since_s, tenant=tenant, deployment=deployment)
    more = [
        {
            **{key: used.get(total.deployment, {}).get(key, 0) for key in TOKENS},
            **_times(ledger.figures(tenant, [total.deployment], since_s=since_s)),
        }
        for total in totals
    ]
    if not totals:
        return totals
    beside = [{"deployment": total.deployment, **one} for total, one in zip(totals, more, strict=True)]
    rows = [{**asdict(total), **one} for total, one in zip(totals, more, strict=True)]
    return Shown(rows, [Section("requests", totals), Section("tokens and times", beside)])


def _times(figures: "Figures") -> Mapping[str, float | None]:
    return {"ttft_p50_s": figures.ttft_p50_s, "ttft_p95_s": figures.ttft_p95_s}


def show_migration(migration: "Migration", durable: "Durable", ledger: "Ledger", deployment: str | None) -> object:
    """The proof is of the steps that are shown: of one deployment alone, where one is asked for."""
    from ..controller.measuring import count, describe_counts, unproven
    from .migrate_view import balancer_lacks, describe_phase, ended_at, shown_steps, step_rows

    steps = step_rows(migration, ledger)
    shown = [step for step in steps if deployment in (None, step.deployment)]
    note = unproven(migration, steps, balancer_lacks(durable.stack) if durable.stack else {})
    counts = count(shown)
    what = {"id": migration.id, "tenant": migration.tenant, "to": migration.destination, "phase": migration.phase}
    proof = note or describe_counts(counts) + (f" at {deployment}" if deployment else "")
    return [
        Section(
            "migration", Shown({**what, "ended_at": ended_at(migration)}, what | {"phase": describe_phase(migration)})
        ),
        Section("steps", shown_steps(shown)),
        Section("proof", Shown({**asdict(counts), "note": note}, proof)),
    ]


def selection_of(migration: "Migration", deployment: str | None) -> "Selection":
    """Its requests from the first step on; none where nothing was moved."""
    from ..controller.measuring import span_of

    return replace(span_of(migration), deployment=deployment)
