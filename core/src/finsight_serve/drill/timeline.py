"""What happened in a drill, and when: values, for the table, the JSON, the page and the documents. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .load import Counts

Kind = Literal["fault", "symptom", "alert", "check", "action", "recovered", "alert over", "verify"]


@dataclass(frozen=True)
class Moment:
    at_s: float  # from the fault on
    kind: Kind
    what: str


@dataclass(frozen=True)
class Finding:
    """One drill, carried out."""

    name: str
    title: str  # of the runbook's section
    fault: str
    backend: str
    speed: int  # what the rules' times were divided by
    moments: tuple[Moment, ...]
    meanwhile: Counts  # the steady load's requests that ended from the fault to the recovery
    failed: str = ""  # why the drill did not pass

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def alert(self) -> str:
        return next((moment.what for moment in self.moments if moment.kind == "alert"), "")

    @property
    def detected_s(self) -> float | None:
        return first_s(self.moments, "alert")

    @property
    def recovered_s(self) -> float | None:
        return first_s(self.moments, "recovered")


def first_s(moments: Sequence[Moment], kind: Kind) -> float | None:
    return next((moment.at_s for moment in moments if moment.kind == kind), None)


def seconds(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s:.1f}"


@dataclass(frozen=True)
class Row:
    """One line per drill. Seconds from the fault on."""

    drill: str
    result: str
    fault: str
    alert: str
    seconds_to_detect: str
    seconds_to_recover: str
    requests: int
    failed: int
    truncated: int


def row(finding: Finding) -> Row:
    return Row(
        finding.name,
        "passed" if finding.passed else f"failed: {finding.failed}",
        finding.fault,
        finding.alert,
        seconds(finding.detected_s),
        seconds(finding.recovered_s),
        finding.meanwhile.requests,
        finding.meanwhile.failed,
        finding.meanwhile.truncated,
    )
