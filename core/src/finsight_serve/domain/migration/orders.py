"""What people may ask of a migration while it runs. All raise `ValueError` with a sentence where it is too late."""

from dataclasses import replace

from .transitions import begin_rollback, end
from .values import NOT_BEGUN, OVER, Migration


def pause(migration: Migration, now_s: float) -> Migration:
    """It stays where it is until resumed. Limits, the breaker and what is gone still end it or roll it back."""
    _check_running(migration)
    if migration.phase == "rolling_back":
        raise ValueError(f"migration {migration.id} is rolling back, which can't be paused")
    return migration if migration.paused else replace(migration, paused=True, paused_s=now_s)


def resume(migration: Migration, now_s: float, watched_since_s: float | None = None) -> Migration:
    """As if the time between had not been: neither deadlines nor the hold of a step have come nearer.

    Nor has any time been before `watched_since_s`, as in `Situation`.
    """
    _check_running(migration)
    if not migration.paused:
        return migration

    def moved_on(moment_s: float) -> float:
        counts_from_s = moment_s if watched_since_s is None else max(moment_s, watched_since_s)
        return counts_from_s + now_s - max(counts_from_s, migration.paused_s)

    return replace(
        migration,
        paused=False,
        paused_s=0.0,
        since_s=moved_on(migration.since_s),
        in_force_s=None if migration.in_force_s is None else moved_on(migration.in_force_s),
    )


def request_rollback(migration: Migration, reason: str, now_s: float) -> Migration:
    """Over at once where nothing was begun; asking again changes nothing."""
    _check_running(migration)
    if migration.phase == "rolling_back":
        return migration
    if migration.phase in NOT_BEGUN:
        return end(migration, "rolled_back", f"{reason}; nothing was moved", now_s)
    return begin_rollback(migration, reason, now_s)


def _check_running(migration: Migration) -> None:
    if migration.phase in OVER:
        raise ValueError(f"migration {migration.id} is over: {migration.phase.replace('_', ' ')}")
