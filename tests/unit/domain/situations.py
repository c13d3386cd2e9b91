"""A migration from `ray` to `east` in a world in which all is well, for the tests of each phase."""

from dataclasses import replace
from typing import Any

from finsight_serve.domain.figures import Figures
from finsight_serve.domain.limit import parse_limit
from finsight_serve.domain.migration import (
    Migration,
    MigrationRules,
    Phase,
    Situation,
    note_version,
    request_rollback,
    step,
)
from finsight_serve.domain.shadow import ShadowReport

LIMITS = (parse_limit("error_rate<=0.1%"), parse_limit("ttft_p95<=1.5x"))
DAY = Figures(requests=500, ttft_p50_s=0.2, ttft_p95_s=0.5)
GOOD = Figures(requests=20, ttft_p50_s=0.2, ttft_p95_s=0.5)
LONG_AGO_S = -1e6
WELL = Situation(
    watched_since_s=LONG_AGO_S,
    source_replicas=2,
    destination_replicas=2,
    destination_probed=2,
    destination_ceiling=4,
    is_in_force=True,
    destination=GOOD,
    source=DAY,
    open_at_sources=0,
    open_at_destination=0,
    shadow=ShadowReport(pairs=20, at_temperature_0=20, ttft_p95_ratio=1.0),
)
NOTHING_SEEN = replace(WELL, destination=Figures())


def asked(**rules: Any) -> Migration:
    return Migration("M1", "mike", {"ray": 100}, "east", replace(MigrationRules(limits=LIMITS), **rules))


def advanced(migration: Migration, situation: Situation, now_s: float) -> Migration:
    """Until nothing changes; each new split gets a route table at once."""
    for _ in range(20):
        following = step(migration, situation, now_s)
        if following is migration:
            return migration
        migration = note_version(following, 7 + len(following.records))
    raise AssertionError(f"does not settle: {migration}")


def at(phase: Phase, *, now_s: float = 0.0, **rules: Any) -> Migration:
    """As it stands right after it came there."""
    if phase == "rolling_back":
        return note_version(request_rollback(at("shifting", now_s=now_s, **rules), "asked for", now_s), 9)
    migration = asked(**rules, shadow_percent=5 if phase == "shadowing" else 0)
    for _ in range(50):
        if migration.phase == phase:
            return migration
        migration = note_version(step(migration, WELL, now_s), 7 + len(migration.records))
        if migration.in_force_s is not None:
            migration = replace(migration, in_force_s=now_s - migration.rules.hold_s)
    raise AssertionError(phase)
