"""What people ask of migrations that run, by id or tenant."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from ..controller.facts import Intent
    from ..domain.migration import Migration

LATER = "; recorded: the next `fs serve` acts on it"


def find_running(folder: Path, names: Sequence[str]) -> "Sequence[Migration]":
    """Each once. Raises `UserError`, also where one is over."""
    from ..controller.migration_plan import find_migration
    from ..domain.migration import OVER
    from .stored import stored_state

    durable = stored_state(folder).durable
    found = list({one.id: one for one in (find_migration(durable, name) for name in names)}.values())
    over = [one for one in found if one.phase in OVER]
    if over:
        what = ", ".join(f"{one.id} is over: {one.phase.replace('_', ' ')}" for one in over)
        raise UserError(f"{what}; {_again(over[0])}")
    return found


def _again(migration: "Migration") -> str:
    """What to do where one is over: the way back, or the same way once more."""
    if migration.phase != "done":
        return f"`fs migrate {migration.tenant} --to {migration.destination}` moves it again"
    came_from = [name for name in migration.source if name != migration.destination]
    to = max(came_from, key=lambda name: migration.source[name])  # what is at its destination alone is not migrated
    return f"`fs migrate {migration.tenant} --to {to}` moves it back"


def intend_each(
    folder: Path, migrations: "Sequence[Migration]", make: "Callable[[str, str], Intent]", done: str
) -> str:
    """Lines for people. `make` is given the id and who asks. Raises `UserError` at the first that is refused."""
    from .intents import intend, who

    lines = []
    for one in migrations:
        is_running = intend(folder, make(one.id, who()))
        lines.append(f"{one.id}: {one.tenant} to {one.destination} {done}{'' if is_running else LATER}.")
    return "\n".join(lines)
