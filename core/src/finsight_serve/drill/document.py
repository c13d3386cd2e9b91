"""The document that a release keeps: one line per drill. Pure."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from datetime import date

from .. import __version__
from .catalogue import NOT_DRILLED
from .timeline import Finding, Row, row, seconds

RUNBOOK = "../runbooks/finsight_failure_runbook.md"


def document(findings: Sequence[Finding], day: date) -> str:
    """Markdown."""
    return "\n".join(_lines(findings, day)) + "\n"


def about(findings: Sequence[Finding], day: date) -> str:
    """What the figures are of, in sentences."""
    speeds = sorted({one.speed for one in findings})
    divided = " or ".join(str(speed) for speed in speeds)
    passed = sum(one.passed for one in findings)
    shipped = "as shipped" if speeds == [1] else f"with `for:`, windows and intervals divided by {divided}"
    return (
        f"{day.isoformat()}, finsight-serve {__version__}, {platform.system()} {platform.machine()}: {passed} of "
        f"{len(findings)} drills passed. The alert rules are the shipped ones, {shipped}. Seconds count from the "
        "fault; requests are those of a steady load of streams that ended between the fault and the recovery."
    )


def _lines(findings: Sequence[Finding], day: date) -> Iterator[str]:
    yield "# Drills"
    yield ""
    yield "Made by `fs drill --report FILE`; before a release `fs drill --all --report docs/drills.md` makes it again."
    yield ""
    yield about(findings, day)
    yield ""
    yield from table([name.name.replace("_", " ") for name in fields(Row)], [astuple(row(one)) for one in findings])
    yield ""
    yield f"Not drilled, of the sections of the [runbook]({RUNBOOK}):"
    yield ""
    for name, why in NOT_DRILLED.items():
        yield f"- {name}: {why}"
    yield ""
    yield "## Timelines"
    for one in findings:
        yield ""
        yield f"### {one.name}"
        yield ""
        yield from table(["seconds", "what", "which"], [(seconds(m.at_s), m.kind, m.what) for m in one.moments])


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield "|" + "---|" * len(headers)
    for cells in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"
