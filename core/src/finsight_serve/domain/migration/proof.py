"""What stands between a migration and its next phase, and what its limits say. `step` and `explain` both go by it."""

from collections.abc import Iterator
from dataclasses import replace

from ..figures import Figures
from ..limit import OF_FAILURES, Finding, check, check_answers
from ..wording import span
from .shadow_proof import check_shadow, compared
from .values import OVER, Migration, Situation


def needed_replicas(migration: Migration, situation: Situation) -> int:
    """The policy may have lowered its ceiling since."""
    return max(1, min(migration.prescale_replicas, situation.destination_ceiling))


def is_in_force(migration: Migration, situation: Situation) -> bool:
    """A split without a table's number was not given to the load balancer yet, whatever an older one's state is."""
    return situation.is_in_force and _is_numbered(migration)


def seen_at_destination(migration: Migration, situation: Situation) -> Figures | None:
    """Of this step: one that no table has yet can have had no request."""
    return situation.destination if _is_numbered(migration) else None


def seen_since_first(migration: Migration, situation: Situation) -> Figures | None:
    """Of all steps so far."""
    return situation.since_first if _is_numbered(migration) else None


def reference(migration: Migration, situation: Situation) -> Figures | None:
    """What relative limits go by: the tenant's last day, or, where it says too little, the sources in this step."""
    baseline = migration.baseline
    if baseline.requests >= migration.rules.min_requests and baseline.ttft_p95_s is not None:
        return baseline
    return situation.source


def with_reference(migration: Migration, situation: Situation) -> Migration:
    """Keeps what the sources showed: in the last step there is nothing left at them to compare with."""
    best = reference(migration, situation)
    return replace(migration, baseline=best) if best and best.requests > migration.baseline.requests else migration


def findings(migration: Migration, situation: Situation) -> tuple[Finding, ...]:
    rules = migration.rules
    if migration.phase == "shadowing":
        return check_shadow(rules.limits, situation.shadow, rules.min_requests) if situation.shadow else ()
    if migration.phase in ("shifting", "draining"):
        return (*_of_limits(migration, situation), *_of_answers(migration, situation))
    return ()


def _of_limits(migration: Migration, situation: Situation) -> Iterator[Finding]:
    """What was begun in one step may fail in a later one, so that failures are judged of all steps, too."""
    least, against = migration.rules.min_requests, reference(migration, situation)
    of_step, of_all = seen_at_destination(migration, situation), seen_since_first(migration, situation)
    for limit in migration.rules.limits:
        found = check(limit, of_step, against, least)
        if found.verdict != "exceeded" and limit.metric in OF_FAILURES and of_all is not None:
            later = check(limit, of_all, against, least)
            if later.verdict == "exceeded":
                found = replace(later, evidence=f"{later.evidence} since the first step")
        yield found


def _of_answers(migration: Migration, situation: Situation) -> tuple[Finding, ...]:
    seen = seen_since_first(migration, situation)
    if seen is None:
        return ()
    return check_answers(seen, [one for one in (migration.baseline, situation.source) if one])


def _is_numbered(migration: Migration) -> bool:
    return bool(migration.records) and migration.records[-1].from_version > 0


def lost(migration: Migration, situation: Situation) -> str:
    """Why there is nothing to move, or nowhere to move it; empty where there is."""
    if not situation.tenant_exists:
        return f"tenant {migration.tenant} is gone"
    if not situation.destination_exists:
        return f"deployment {migration.destination} is gone"
    asked, served = migration.model, situation.destination_model
    if asked and served and asked != served:
        return f"{migration.destination} serves {served} now, and {migration.tenant}'s clients ask for {asked}"
    return ""


def broken(migration: Migration, situation: Situation) -> str:
    """Why the destination should answer nobody now; empty where it may."""
    if gone := lost(migration, situation):
        return gone
    if situation.breaker == "open":
        return f"the breaker of {migration.destination} is open"
    is_empty = situation.watched_since_s is not None and situation.destination_replicas == 0
    return f"{migration.destination} has no ready replica" if is_empty else ""


def is_late(migration: Migration, situation: Situation, deadline_s: float, now_s: float) -> bool:
    return waited_s(migration.since_s, situation, now_s) >= deadline_s


def waited_s(since_s: float, situation: Situation, now_s: float) -> float:
    """Of the time since then, what was watched."""
    return 0.0 if situation.watched_since_s is None else now_s - max(since_s, situation.watched_since_s)


def awaited(migration: Migration, situation: Situation, now_s: float) -> tuple[str, ...]:
    """What is still missing for the next phase or step. Empty: it may go on."""
    if migration.phase in OVER:
        return ()
    if situation.watched_since_s is None and migration.phase != "rolling_back":
        return ("the stack is not up yet",)
    return tuple(_AWAITED[migration.phase](migration, situation, now_s))


def _planned(migration: Migration, situation: Situation, now_s: float) -> Iterator[str]:
    if situation.earlier_waves != "done":
        yield f"the waves before its own ({migration.wave}) are not through"


def _preparing(migration: Migration, situation: Situation, now_s: float) -> Iterator[str]:
    ready, needed = situation.destination_replicas, needed_replicas(migration, situation)
    if ready is None:
        yield f"{migration.destination} can't be observed"
    elif ready < needed:
        yield f"{ready} of {needed} replicas of {migration.destination} are ready"


def _probing(migration: Migration, situation: Situation, now_s: float) -> Iterator[str]:
    yield from _preparing(migration, situation, now_s)
    if situation.destination_failing:
        yield f"replicas of {migration.destination} that fail the probe: {situation.destination_failing}"
    if situation.destination_probed < (ready := situation.destination_replicas or 0):
        yield f"{situation.destination_probed} of {ready} replicas of {migration.destination} have answered the probe"
    yield from _breaker(migration, situation)
    if situation.source is None:
        yield "the ledger gives no figures now"


def _shadowing(migration: Migration, situation: Situation, now_s: float) -> Iterator[str]:
    report, least = situation.shadow, migration.rules.min_requests
    if report is None:
        yield "nothing is known of the copies"
    elif compared(report) < least:
        yield f"{compared(report)} of {least} copies compared"
    yield from (f.evidence for f in findings(migration, situation) if f.verdict != "ok")


def _shifting(migration: Migration, situation: Situation, now_s: float) -> Iterator[str]:
    if migration.in_force_s is None or not is_in_force(migration, situation):
        yield "the load balancer has not taken the new weights up"
    elif (left_s := migration.rules.hold_s - waited_s(migration.in_force_s, situation, now_s)) > 0:
        is_last = migration.step + 1 == len(migration.rules.steps)
        unjudged = "; nobody judges an answer that lasts beyond this step and the draining" if is_last else ""
        yield f"the step holds {span(left_s)} more{unjudged}"
    figures, least = seen_at_destination(migration, situation), migration.rules.min_requests
    if figures is None:
        yield "the ledger gives no figures now"
    elif figures.requests < least:
        yield f"{figures.requests} of {least} requests seen at {migration.destination}"
    if situation.destination_replicas is None:
        yield f"{migration.destination} can't be observed"
    yield from _breaker(migration, situation)
    yield from (f.evidence for f in findings(migration, situation) if f.verdict != "ok")


def _breaker(migration: Migration, situation: Situation) -> Iterator[str]:
    """Half-open it gets less than its share, which then proves nothing of the whole."""
    if situation.breaker != "closed":
        yield f"the breaker of {migration.destination} is {situation.breaker.replace('_', '-')}"


def _draining(migration: Migration, situation: Situation, now_s: float) -> Iterator[str]:
    yield from _settling(migration, situation, situation.open_at_sources, "its sources")
    if seen_at_destination(migration, situation) is None:
        yield "the ledger gives no figures now"


def _rolling_back(migration: Migration, situation: Situation, now_s: float) -> Iterator[str]:
    """Streams are not waited for where new ones keep coming: it is a source too, or takes what its sources don't."""
    keeps_coming = migration.destination in migration.source or not situation.sources_take_all
    streams = 0 if keeps_coming else situation.open_at_destination
    yield from _settling(migration, situation, streams, migration.destination)


def _settling(migration: Migration, situation: Situation, streams: int | None, where: str) -> Iterator[str]:
    if not is_in_force(migration, situation):
        yield "the load balancer has not taken the weights up"
    if streams is None:
        yield f"how many streams are still open at {where} is not known"
    elif streams:
        yield f"streams still open at {where}: {streams}"


_AWAITED = {
    "planned": _planned,
    "preparing": _preparing,
    "probing": _probing,
    "shadowing": _shadowing,
    "shifting": _shifting,
    "draining": _draining,
    "rolling_back": _rolling_back,
}
