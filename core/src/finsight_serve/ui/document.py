"""What the page shows, as one JSON document: what `fs status -o json` has, under the same names, and more. Pure.

Whoever reads it may count on version 1's names. Nothing in it is a key, a hash of one, or a plugin's option.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ..controller.measuring import count
from ..controller.scaling import cold_start_s
from ..controller.status import DeploymentStatus, Status
from ..domain import Event
from ..domain.migration import OVER, Migration, explain, weights
from ..schedule import situation_at
from ..store import Totals
from .day import describe_day
from .reading import Reading
from .standing import judge

VERSION = 1
MOST_ROWS = 200
"""Of replicas and of tenants; a page is no place for thousands, and `fs status` has them all."""


def document(reading: Reading) -> dict[str, Any]:
    status = reading.status or Status("", "not running", "", 0, "not seen yet", (), (), (), (), (), ())
    ready = [one.id for one in status.replicas if one.state == "ready"]
    return {
        "version": VERSION,
        "read_at_s": reading.now_s,
        "is_live": reading.is_live,
        "standing": asdict(judge(reading)),
        "stack": {
            "name": status.stack,
            "controller": status.controller,
            "url": status.url,
            "load_balancer": status.load_balancer,
            "route_version": status.route_version,
            "routes_in_force": status.routes_in_force,
        },
        "backends": [asdict(one) for one in status.backends],
        "deployments": [_deployment(reading, one) for one in status.deployments],
        "replicas": [asdict(one) for one in status.replicas[:MOST_ROWS]],
        "tenants": list(_tenants(reading, status)),
        "migrations": [_migration(reading, status, one) for one in reading.migrations],
        "ledger": [asdict(one) for one in status.ledger[:MOST_ROWS]],
        "advice": list(status.advice),
        "events": [_event(one) for one in status.events],
        "day": describe_day(reading.durable, reading.hours, reading.history, ready, reading.now_s, reading.seen_s),
        "left_out": {
            "replicas": max(0, len(status.replicas) - MOST_ROWS),
            "tenants": max(0, len(status.tenants) - MOST_ROWS),
            "migrations": reading.more_migrations,
        },
    }


def _deployment(reading: Reading, one: DeploymentStatus) -> Mapping[str, Any]:
    row = asdict(one)
    breaker = {"state": row.pop("breaker_state"), "reason": row.pop("breaker_reason")}
    stack = reading.durable.stack
    policy = next((d.policy for d in stack.deployments if d.name == one.name), None) if stack else None
    why, target = "", None
    if policy is not None:
        situation = situation_at(policy, reading.now_s, cold_start_s(reading.durable, one.name))
        why, target = situation.why if policy.schedule else "", situation.policy.target_ongoing_requests
    return {**row, "breaker": breaker, "target_ongoing_requests": target, "floor_why": why}


def _tenants(reading: Reading, status: Status) -> Iterator[Mapping[str, Any]]:
    """Those that are being moved first where not all are shown."""
    moving = {one.tenant: one.id for one in reading.migrations if one.phase not in OVER}
    shown = {one.name for one in sorted(status.tenants, key=lambda one: one.name not in moving)[:MOST_ROWS]}
    totals: dict[str, list[Totals]] = {}
    for total in status.ledger:
        totals.setdefault(total.tenant, []).append(total)
    for one in status.tenants:
        if one.name in shown:
            own, row = totals.get(one.name, []), asdict(one)
            yield {
                **row,
                "routed_to": row.pop("weights"),
                "migration": moving.get(one.name),
                "requests": sum(total.requests for total in own),
                "failed": sum(total.failed for total in own),
                "truncated": sum(total.truncated for total in own),
            }


def _migration(reading: Reading, status: Status, one: Migration) -> Mapping[str, Any]:
    """The counts are of the requests that went to the destination since the first step, as `fs migrate` has them."""
    steps = reading.steps.get(one.id, ())
    told = status.explanations.get(one.id) if reading.is_live else None
    return {
        "id": one.id,
        "tenant": one.tenant,
        "from": dict(one.source),
        "to": one.destination,
        "phase": one.phase,
        "is_over": one.phase in OVER,
        "step": one.step + 1 if one.phase == "shifting" else None,
        "steps_percent": list(one.rules.steps),
        "percent": weights(one).get(one.destination, 0),
        "paused": one.paused,
        "reason": one.reason,
        "proof": one.proof,
        "by": one.asked_by,
        "asked_at": _iso(one.asked_s),
        "ended_at": _iso(one.since_s) if one.phase in OVER else None,
        **asdict(count(step for step in steps if step.deployment == one.destination)),
        "in_all": asdict(count(steps)),
        "ledger": [asdict(step) for step in steps],
        "explanation": list(told or explain(one, None, reading.now_s)),
    }


def _event(one: Event) -> Mapping[str, Any]:
    return {"at": _iso(one.at_s), "at_s": one.at_s, "kind": one.kind, "subject": one.subject, "reason": one.reason}


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s).astimezone().isoformat(timespec="seconds")
