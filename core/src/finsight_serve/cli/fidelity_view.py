"""How well backends do what a policy says, as rows: in a table the fields that are graded alike stand together."""

from collections.abc import Iterable
from textwrap import fill
from typing import TYPE_CHECKING

from .output import Shown

if TYPE_CHECKING:
    from ..controller.planning import Fidelity

FIELDS_WIDTH, NOTE_WIDTH = 34, 46


def shown_fidelity(grades: "Iterable[Fidelity]") -> Shown:
    rows = list(grades)
    fields: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        fields.setdefault((row.backend, row.deployment, row.verdict, row.note), []).append(row.field)
    table = [
        {
            "backend": backend,
            "deployment": deployment,
            "verdict": verdict,
            "fields": fill(", ".join(names), FIELDS_WIDTH),
            "note": fill(note, NOTE_WIDTH),
        }
        for (backend, deployment, verdict, note), names in fields.items()
    ]
    return Shown(rows, table)
