"""One drill from the fault to the recovery, on a service that is up, under load and watched."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import psutil

from ..controller.status import Status
from ..errors import UserError, one_line
from .drill import Deed, Drill, text_of
from .family import is_running
from .load import Answer, count
from .prometheus import Alarm
from .runbook import Section, fill
from .service import Ran, Service
from .timeline import Finding, Kind, Moment
from .waiting import DrillError, wait_until

S = TypeVar("S", bound=Service)
Say = Callable[[str], None]
CLUSTER = "kubectl "
"""Begins commands that are for a cluster; a drill has none."""
ASKING = ("fs apply", "fs migrate")
"""These ask before they act, and here is nobody to be asked."""
ANSWERS = 6
"""Whole answers that must come in a row for a recovery."""
LEAST_PATIENCE_S = 90.0
OVER_S = 180.0
ENDED_S = 30.0
STRIKE_AGAIN_S = 3.0
KILLS = re.compile(r"kill .*?(\d+)$")


@dataclass
class Exercise(Generic[S]):
    drill: Drill[S]
    section: Section
    sections: Mapping[str, Section]
    service: S
    speed: int
    say: Say
    moments: list[Moment] = field(default_factory=list)
    struck_s: float = 0.0
    _mended_s: float = 0.0

    def run(self) -> Finding:
        """What fails is in the finding; only an interruption comes through."""
        failed = ""
        try:
            self._fault()
            self._wait_for_alert()
            self._check()
            self._act()
            self._recover()
            self._verify()
            self._wait_for_end_of_alert()
            failed = self._lost()
        except (DrillError, LookupError, UserError, OSError, psutil.Error) as error:
            failed = str(error) if isinstance(error, DrillError | UserError) else one_line(error)
        end_s = self._mended_s or time.time()
        answers = [one for one in self.service.load.answers if self.struck_s <= one.ended_s and one.began_s <= end_s]
        moments = tuple(sorted(self.moments, key=lambda moment: moment.at_s))
        return Finding(
            self.drill.name,
            self.section.title,
            self.drill.fault,
            self.service.target.orchestrator,
            self.speed,
            moments,
            count(answers),
            failed,
        )

    @property
    def _patience_s(self) -> float:
        return LEAST_PATIENCE_S + 1.5 * self.drill.wait_s / self.speed

    def _fault(self) -> None:
        self.struck_s = time.time()
        at_s = self.drill.strike(self.service)
        self.struck_s = at_s or self.struck_s
        self._note("fault", self.drill.fault, at_s=self.struck_s)

    def _wait_for_alert(self) -> None:
        again_s = time.time()

        def look() -> Alarm | None:
            nonlocal again_s
            found = self._alarms()
            if not self._has("symptom"):
                self._note_symptom(found)
            if self.drill.is_struck_again and time.time() > again_s + STRIKE_AGAIN_S:
                self.drill.strike(self.service)
                again_s = time.time()
            return next((one for one in found if one.state == "firing"), None)

        found = wait_until(look, self._patience_s, f"an alert of {self.section.anchor} fires")
        self._note("alert", found.name if found else "")

    def _note_symptom(self, alarms: list[Alarm]) -> None:
        """What the clients see, or what Prometheus does: whichever is first."""
        bad = self.service.load.first_bad(self.struck_s)
        if bad is not None:
            self._note("symptom", f"a request {_described(bad)}", at_s=bad.ended_s)
        elif alarms:
            self._note("symptom", f"{alarms[0].name} is pending; no request has failed")

    def _check(self) -> None:
        for command in self.section.commands("Check"):
            ran = self._carry_out(command)
            if ran is not None:
                self._note("check", _told(command, ran))

    def _act(self) -> None:
        if not self.drill.steps:
            if not self.section.heals_by_itself:
                raise LookupError(f"{self.section.anchor} does not say that it heals by itself")
            self._note("action", "none: it heals by itself")
        for step in self.drill.steps:
            text = text_of(step, self.section, self.sections)
            if isinstance(step, Deed):
                step.do(self.service)
                self._note("action", text)
            else:
                self._act_by(text)

    def _act_by(self, text: str) -> None:
        ran = self._carry_out(text)
        if ran is None:
            raise DrillError(f"`{text}` asks for what is not known here")
        self._note("action", _told(text, ran))
        if ran.code:
            raise DrillError(f"`{ran.command}` ended with {ran.code}: {ran.last_line}")
        if ended := KILLS.match(ran.command):
            pid = int(ended[1])
            wait_until(lambda: not is_running(pid), ENDED_S, f"process {pid} has ended")

    def _recover(self) -> None:
        def mended() -> bool:
            status = self.service.status()
            return status is not None and is_well(status) and self.drill.is_mended(self.service, status)

        wait_until(mended, self._patience_s, lambda: f"well again: {self._trouble()}")
        seen_s = time.time()
        wait_until(lambda: self.service.load.complete_since(seen_s) >= ANSWERS, self._patience_s, "whole answers come")
        self._mended_s = max(seen_s, self.service.load.last_bad_s(self.struck_s))
        self._note("recovered", "all is as wanted, and streams end whole", at_s=self._mended_s)

    def _verify(self) -> None:
        for command in dict.fromkeys(self.section.commands("Verify")):
            ran = self._carry_out(command)
            if ran is None:
                continue
            self._note("verify", _told(command, ran))
            if ran.code:
                raise DrillError(f"`{ran.command}` ended with {ran.code}: {ran.last_line}")

    def _wait_for_end_of_alert(self) -> None:
        wait_until(lambda: not self._alarms(), OVER_S, "the alert ends")
        self._note("alert over", "Prometheus has no alert of the section any more")

    def _lost(self) -> str:
        if not self.drill.loses_nothing:
            return ""
        bad = [one for one in self.service.load.answers if one.outcome in ("failed", "truncated")]
        return f"requests were lost, the first {_described(bad[0])}" if bad else ""

    def _carry_out(self, command: str) -> Ran | None:
        """None for what can't be done here."""
        known = {name: text for name, text in self.service.words().items() if text}
        filled = fill(command, {**known, **self.drill.words})
        if command.startswith(CLUSTER) or filled is None:
            return None
        return self.service.run(filled + (" --yes" if command.startswith(ASKING) and _acts(command) else ""))

    def _alarms(self) -> list[Alarm]:
        return [
            one
            for one in self.service.watch.alarms()
            if (self.drill.is_any_alert or one.section == self.section.anchor)
            and (not self.drill.alert or one.name == self.drill.alert)
        ]

    def _has(self, kind: Kind) -> bool:
        return any(moment.kind == kind for moment in self.moments)

    def _note(self, kind: Kind, what: str, *, at_s: float | None = None) -> None:
        moment = Moment(round((at_s or time.time()) - self.struck_s, 1), kind, what)
        self.moments.append(moment)
        self.say(f"{self.drill.name}  +{moment.at_s:5.1f} s  {kind}: {what}")

    def _trouble(self) -> str:
        status = self.service.status()
        return "no controller answers" if status is None else "; ".join(troubles(status)) or "all is, but for the fault"


def is_well(status: Status) -> bool:
    """Whether what `fs status` shows is what is wanted."""
    return not any(troubles(status))


def troubles(status: Status) -> Iterator[str]:
    for name, state in (("load_balancer", status.load_balancer), *((one.name, one.state) for one in status.backends)):
        if state != "ok":
            yield f"{name}: {state}"
    for one in status.deployments:
        if one.ready < one.min_replicas:
            yield f"{one.name}: {one.ready} of {one.min_replicas} ready"
        if one.breaker_state != "closed":
            yield f"{one.name}: breaker {one.breaker}"
    for replica in status.replicas:
        if replica.state == "ready" and replica.health not in ("ok", "not probed yet", "busy"):
            yield f"{replica.id}: {replica.health}"


def _acts(command: str) -> bool:
    return not any(word in command for word in (" explain", " status", " list", " pause", " resume"))


def _described(answer: Answer) -> str:
    return f"{answer.outcome}: {answer.why}"


def _told(command: str, ran: Ran) -> str:
    return f"`{command}`" + (f" (exit code {ran.code})" if ran.code else "")
