"""What a migration is doing and what it waits for, in sentences."""

from ..shadow import ShadowReport
from ..wording import counted, span
from .proof import awaited, broken, findings, needed_replicas, waited_s
from .split import percent
from .values import OVER, Migration, Phase, Situation


def explain(migration: Migration, situation: Situation | None, now_s: float) -> tuple[str, ...]:
    """One line each. Without a `situation` (no controller runs): what is stored alone says."""
    lines = [_heading(migration, situation)]
    if migration.reason:
        lines.append(f"because: {migration.reason}")
    if migration.phase in OVER:
        return (*lines, migration.proof) if migration.proof and migration.proof not in migration.reason else (*lines,)
    if migration.paused:
        lines.append("paused: stays as it is, though limits and the breaker still roll it back")
    if situation is None:
        return *lines, "what it waits for is known to the controller alone, and none runs"
    if migration.phase in ("shadowing", "shifting", "draining") and (trouble := broken(migration, situation)):
        lines.append(f"about to roll back: {trouble}")
    waits = awaited(migration, situation, now_s)
    lines += [f"waits: {sentence}" for sentence in waits]
    lines += [f"holds: {found.evidence}" for found in findings(migration, situation) if found.verdict == "ok"]
    if migration.phase == "shadowing" and situation.shadow:
        lines.append(_copies(situation.shadow))
    if waits and not migration.paused and (deadline := _deadline(migration, situation, now_s)):
        lines.append(deadline)
    return tuple(lines)


def _heading(migration: Migration, situation: Situation | None) -> str:
    rules, to = migration.rules, migration.destination
    back = " and ".join(f"{share} % {name}" for name, share in migration.source.items())
    step = f"step {migration.step + 1} of {len(rules.steps)}: {percent(migration)} % of {migration.tenant}'s requests"
    needed = needed_replicas(migration, situation) if situation else migration.prescale_replicas
    headings: dict[Phase, str] = {
        "planned": f"planned: {migration.tenant} to {to}",
        "preparing": f"preparing: {to} grows to {counted(needed, 'ready replica')}; nothing is moved yet",
        "probing": f"probing: every replica of {to} is asked; nothing is moved yet",
        "shadowing": f"shadowing: copies of {rules.shadow_percent} % are compared; nothing is moved yet",
        "shifting": f"{step} go to {to}",
        "draining": f"draining: all requests go to {to}; streams that began elsewhere end there",
        "rolling_back": f"rolling back to {back}; streams that began at {to} end there",
        "done": f"done: all of {migration.tenant}'s requests go to {to}",
        "rolled_back": f"rolled back to {back}",
        "failed": f"failed: {migration.tenant} was not moved",
    }
    return headings[migration.phase]


def _copies(report: ShadowReport) -> str:
    speed = report.tokens_per_s_ratio
    compared = f"{counted(report.pairs, 'request')} asked of both sides"
    dropped = f"{report.dropped} left out: too many at once, too large, or nothing to compare" if report.dropped else ""
    faster = f"tokens come {speed:.2f} times as fast as from the source" if speed is not None else ""
    return f"shadow: {'; '.join(part for part in (compared, faster, dropped) if part)}"


def _deadline(migration: Migration, situation: Situation, now_s: float) -> str:
    rules = migration.rules
    ends = {
        "preparing": (rules.prepare_deadline_s, "gives up"),
        "probing": (rules.prepare_deadline_s, "gives up"),
        "shadowing": (rules.step_deadline_s, "rolls back"),
        "shifting": (rules.step_deadline_s, "rolls back"),
        "draining": (rules.drain_deadline_s, "counts as done, unproven,"),
        "rolling_back": (rules.drain_deadline_s, "counts as rolled back, unproven,"),
    }
    if migration.phase not in ends:
        return ""
    deadline_s, what = ends[migration.phase]
    left_s = max(0.0, deadline_s - waited_s(migration.since_s, situation, now_s))
    return f"otherwise {what} in {span(left_s)}"
