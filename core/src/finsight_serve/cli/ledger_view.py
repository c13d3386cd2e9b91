"""What `fs ledger` shows, as rows and sections."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from .output import Section

if TYPE_CHECKING:
    from ..controller.state import Durable
    from ..domain.figures import Figures
    from ..domain.migration import Migration
    from ..store import Ledger
    from ..store.ledger import Selection

TOKENS = ("prompt_tokens", "completion_tokens", "by_chunks", "uncounted")


def show_all(ledger: "Ledger", selection: "Selection") -> Sequence[object]:
    return ledger.totals(since_s=selection.since_s, deployment=selection.deployment)


def show_tenant(ledger: "Ledger", selection: "Selection") -> Sequence[object]:
    """By deployment, with tokens and times to first token."""
    tenant, deployment, since_s = selection.tenant or "", selection.deployment, selection.since_s
    used = {
        one.deployment: asdict(one) for one in ledger.usage(since_s, math.inf, tenant=tenant, deployment=deployment)
    }
    totals = ledger.totals(since_s=since_s, tenant=tenant, deployment=deployment)
    return [
        {
            **asdict(total),
            **{key: used.get(total.deployment, {}).get(key, 0) for key in TOKENS},
            **_times(ledger.figures(tenant, [total.deployment], since_s=since_s)),
        }
        for total in totals
    ]


def _times(figures: "Figures") -> Mapping[str, float | None]:
    return {"ttft_p50_s": figures.ttft_p50_s, "ttft_p95_s": figures.ttft_p95_s}


def show_migration(
    migration: "Migration", durable: "Durable", ledger: "Ledger", deployment: str | None
) -> Sequence[object]:
    from ..controller.measuring import proof
    from .migrate_view import balancer_lacks, step_rows

    what = {"id": migration.id, "tenant": migration.tenant, "to": migration.destination, "phase": migration.phase}
    lacks = balancer_lacks(durable.stack) if durable.stack else {}
    return [
        Section("migration", what),
        Section("steps", [row for row in step_rows(migration, ledger) if deployment in (None, row.deployment)]),
        Section("proof", proof(migration, ledger, lacks)),
    ]


def selection_of(migration: "Migration", deployment: str | None) -> "Selection":
    """Its requests from the first step on; none where nothing was moved."""
    from ..controller.measuring import span_of

    return replace(span_of(migration), deployment=deployment)
