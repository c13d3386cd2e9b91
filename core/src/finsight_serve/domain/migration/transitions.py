"""From one phase to the next: what follows from a migration, a look at the world and the time.

The phases only go forward (preparing and probing may alternate, under one deadline), and every phase but `planned` has
a deadline: so every migration that is not paused ends. Where something can't be known, it waits. While the stack is not
up, or not looked at, nothing goes forward and no time passes; limits and the breaker still take a step back. A rollback
that would take the tenant from its only deployment goes forward instead.
"""

from dataclasses import replace

from ..figures import Figures
from ..wording import counted, span
from .proof import (
    awaited,
    broken,
    findings,
    is_in_force,
    is_late,
    lost,
    needed_replicas,
    seen_at_destination,
    with_reference,
)
from .shadow_proof import compared
from .split import percent
from .values import Migration, Phase, ShiftRecord, Situation


def step(migration: Migration, situation: Situation, now_s: float) -> Migration:
    """At most one transition; the same object where there is none.

    `situation` must be of this very migration: look anew after each transition.
    """
    transition = _TRANSITIONS.get(migration.phase)
    return transition(migration, situation, now_s) if transition else migration


def note_version(migration: Migration, version: int) -> Migration:
    """The route table's number that the newest split was given. The first one stays."""
    if not migration.records or migration.records[-1].from_version:
        return migration
    *earlier, newest = migration.records
    return replace(migration, records=(*earlier, replace(newest, from_version=version)))


def begin_rollback(migration: Migration, reason: str, now_s: float) -> Migration:
    return _move(replace(migration, paused=False), "rolling_back", 0, reason, now_s)


def end(migration: Migration, phase: Phase, reason: str, now_s: float, proof: str = "") -> Migration:
    return replace(_enter(migration, phase, reason, now_s), paused=False, paused_s=0.0, proof=proof or migration.proof)


def _planned(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if gone := lost(migration, situation):
        return end(migration, "failed", f"{gone}; nothing was moved", now_s)
    if situation.earlier_waves == "broken":
        return end(migration, "failed", "not started: a migration of an earlier wave did not get through", now_s)
    if migration.paused or awaited(migration, situation, now_s):
        return migration
    wanted = max(situation.source_replicas, 1)
    replicas = max(1, min(wanted, situation.destination_ceiling))
    but = f", where its sources have {wanted}: its policy allows no more" if replicas < wanted else ""
    reason = f"{migration.destination} is to have {counted(replicas, 'ready replica')}{but}"
    return replace(_enter(migration, "preparing", reason, now_s), prescale_replicas=replicas)


def _preparing(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if gone := lost(migration, situation):
        return end(migration, "failed", f"{gone}; nothing was moved", now_s)
    if migration.paused:
        return migration
    if not awaited(migration, situation, now_s):
        reason = f"ready replicas of {migration.destination}: {situation.destination_replicas}"
        return replace(migration, phase="probing", reason=reason)
    return _never_ready(migration, situation, now_s)


def _probing(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if gone := lost(migration, situation):
        return end(migration, "failed", f"{gone}; nothing was moved", now_s)
    if migration.paused:
        return migration
    if not awaited(migration, situation, now_s):
        begun = replace(migration, baseline=situation.source or Figures())
        reason = f"all replicas of {migration.destination} answer the probe: {situation.destination_replicas}"
        if migration.rules.shadow_percent:
            return _enter(begun, "shadowing", reason, now_s)
        return _shift(begun, 0, reason, now_s)
    ready = situation.destination_replicas
    if ready is not None and ready < needed_replicas(migration, situation):
        return replace(migration, phase="preparing", reason=awaited(migration, situation, now_s)[0])
    return _never_ready(migration, situation, now_s)


def _never_ready(migration: Migration, situation: Situation, now_s: float) -> Migration:
    deadline_s = migration.rules.prepare_deadline_s
    if not is_late(migration, situation, deadline_s, now_s):
        return migration
    missing = "; ".join(awaited(migration, situation, now_s))
    reason = f"{migration.destination} never got ready in {span(deadline_s)} ({missing}); nothing was moved"
    return end(migration, "failed", reason, now_s)


def _shadowing(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if _has_no_way_back(situation):
        return _go_forward(migration, now_s)
    if trouble := _trouble(migration, situation):
        return begin_rollback(migration, f"{trouble}; nothing was moved", now_s)
    if migration.paused:
        return migration
    missing = awaited(migration, situation, now_s)
    if not missing:
        pairs = compared(situation.shadow) if situation.shadow else 0
        return _shift(migration, 0, f"{pairs} copies compared", now_s)
    if is_late(migration, situation, migration.rules.step_deadline_s, now_s):
        late = f"the shadow proved nothing in {span(migration.rules.step_deadline_s)}"
        return begin_rollback(migration, f"{late}: {'; '.join(missing)}; nothing was moved", now_s)
    return migration


def _shifting(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if _has_no_way_back(situation):
        return _go_forward(migration, now_s)
    if trouble := _trouble(migration, situation):
        return begin_rollback(migration, f"{trouble}: {_seen(migration, situation)}", now_s)
    noted = _note_in_force(migration, situation, now_s)
    if noted is not migration or migration.paused:
        return noted
    missing = awaited(migration, situation, now_s)
    if not missing:
        return _step_is_proved(migration, situation, now_s)
    if is_late(migration, situation, migration.rules.step_deadline_s, now_s):
        late = f"{percent(migration)} % proved nothing in {span(migration.rules.step_deadline_s)}"
        return begin_rollback(migration, f"{late} ({'; '.join(missing)}): {_seen(migration, situation)}", now_s)
    return migration


def _step_is_proved(migration: Migration, situation: Situation, now_s: float) -> Migration:
    proved = with_reference(migration, situation)
    reason = _seen(migration, situation)
    if migration.step + 1 < len(migration.rules.steps):
        return _shift(proved, migration.step + 1, reason, now_s)
    return _enter(proved, "draining", reason, now_s)


def _draining(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if not _has_no_way_back(situation) and (trouble := _trouble(migration, situation)):
        return begin_rollback(migration, f"{trouble}: {_seen(migration, situation)}", now_s)
    noted = _note_in_force(migration, situation, now_s)
    if noted is not migration or migration.paused:
        return noted
    return _settle(migration, situation, "done", f"all requests go to {migration.destination}", now_s)


def _rolling_back(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if _has_no_way_back(situation):
        stays = f"stays at {migration.destination}, since what it came from is gone; was to go back: {migration.reason}"
        return end(migration, "done", stays, now_s, "unproven: its sources are gone")
    noted = _note_in_force(migration, situation, now_s)
    if noted is not migration:
        return noted
    if situation.sources_take_all:
        return _settle(migration, situation, "rolled_back", migration.reason, now_s)
    spilt = "unproven: no source takes its whole share now, so that requests still go to others"
    return _settle(migration, situation, "rolled_back", f"{migration.reason}; {spilt}", now_s, spilt)


def _settle(
    migration: Migration, situation: Situation, phase: Phase, reason: str, now_s: float, proof: str = ""
) -> Migration:
    missing = awaited(migration, situation, now_s)
    if not missing:
        return end(migration, phase, reason, now_s, proof)
    if not is_late(migration, situation, migration.rules.drain_deadline_s, now_s):
        return migration
    unproven = f"unproven: after {span(migration.rules.drain_deadline_s)} {'; '.join(missing)}"
    return end(migration, phase, f"{reason}; {unproven}", now_s, unproven)


def _has_no_way_back(situation: Situation) -> bool:
    return not situation.sources_exist and situation.destination_exists


def _go_forward(migration: Migration, now_s: float) -> Migration:
    reason = f"what it came from is gone: all requests go to {migration.destination} at once"
    forward = replace(migration, proof="unproven: its sources are gone")
    if percent(migration) == 100:
        return _enter(forward, "draining", reason, now_s)
    return _move(forward, "draining", 100, reason, now_s)


def _trouble(migration: Migration, situation: Situation) -> str:
    """Why to go back now; empty where there is no reason."""
    if trouble := broken(migration, situation):
        return trouble
    return next((f.evidence for f in findings(migration, situation) if f.verdict == "exceeded"), "")


def _seen(migration: Migration, situation: Situation) -> str:
    figures, at = seen_at_destination(migration, situation), f"{migration.destination} at {percent(migration)} %"
    if figures is None:
        return f"what {at} had is not known"
    return f"{at} had {counted(figures.requests, 'request')}, {figures.failed} failed, {figures.truncated} truncated"


def _note_in_force(migration: Migration, situation: Situation, now_s: float) -> Migration:
    if migration.in_force_s is None and is_in_force(migration, situation):
        return replace(migration, in_force_s=now_s)
    return migration


def _shift(migration: Migration, index: int, reason: str, now_s: float) -> Migration:
    return _move(replace(migration, step=index), "shifting", migration.rules.steps[index], reason, now_s)


def _move(migration: Migration, phase: Phase, to_destination: int, reason: str, now_s: float) -> Migration:
    records = (*migration.records, ShiftRecord(to_destination, now_s))
    return replace(_enter(migration, phase, reason, now_s), records=records)


def _enter(migration: Migration, phase: Phase, reason: str, now_s: float) -> Migration:
    return replace(migration, phase=phase, reason=reason, since_s=now_s, in_force_s=None)


_TRANSITIONS = {
    "planned": _planned,
    "preparing": _preparing,
    "probing": _probing,
    "shadowing": _shadowing,
    "shifting": _shifting,
    "draining": _draining,
    "rolling_back": _rolling_back,
}
