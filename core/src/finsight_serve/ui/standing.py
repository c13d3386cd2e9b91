"""Whether all is well, in words: what needs a person, what is to be watched, and the figures. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..controller.status import DeploymentStatus, Status
from ..domain.migration import OVER
from ..domain.routing import REFUSED, WHOLE
from ..domain.wording import counted
from .day import HOUR_S
from .reading import Reading

Level = Literal["well", "notice", "trouble"]
MOST_FINDINGS = 8


@dataclass(frozen=True)
class Finding:
    level: Level
    text: str


@dataclass(frozen=True)
class Standing:
    """`headline` says it in a few words; `findings` each thing, the worst first; `figures` a sentence of numbers."""

    level: Level
    headline: str
    findings: tuple[Finding, ...]
    figures: str


def judge(reading: Reading) -> Standing:
    found = sorted(_findings(reading), key=lambda one: one.level != "trouble")
    troubles = sum(one.level == "trouble" for one in found)
    headline = "It works, with something to watch" if found else "All is well"
    if troubles:
        headline = "Something needs a person" if troubles == 1 else f"{troubles} things need a person"
    level: Level = found[0].level if found else "well"
    if len(found) > MOST_FINDINGS:
        more = len(found) - MOST_FINDINGS + 1
        found = [*found[: MOST_FINDINGS - 1], Finding(found[MOST_FINDINGS - 1].level, f"{more} more like these")]
    return Standing(level, headline, tuple(found), ". ".join(_figures(reading)))


def _findings(reading: Reading) -> Iterator[Finding]:
    for trouble in reading.troubles:
        yield Finding("trouble", trouble)
    status = reading.status
    if status is None:
        if not reading.troubles:
            yield Finding("trouble", "Nothing is served; `fs serve` brings a stack up")
        return
    if not reading.is_live:
        if reading.is_absent:
            yield Finding(
                "trouble",
                "No controller runs: traffic goes on as it was routed last, but nothing is probed, scaled or mended. "
                "`fs serve` starts one; what stands here is what was stored last",
            )
    else:
        yield from _of_what_runs(status)
    yield from (_breaker(one) for one in status.deployments if one.breaker_state != "closed")
    for tenant in status.tenants:
        if refused := tenant.weights.get(REFUSED, 0) if tenant.weights else WHOLE:
            yield Finding("trouble", f"{refused} % of {tenant.name}'s requests are refused: nobody can answer them")
    for migration in reading.migrations:
        if migration.phase == "rolling_back":
            moved = f"{migration.tenant} is being rolled back from {migration.destination}"
            yield Finding("notice", f"{moved}: {migration.reason}")
    yield from (Finding("notice", line) for line in status.advice)


def _of_what_runs(status: Status) -> Iterator[Finding]:
    for name, state in (("load balancer", status.load_balancer), *((one.name, one.state) for one in status.backends)):
        if state != "ok":
            yield Finding("notice" if state == "not seen yet" else "trouble", f"{name}: {state}")
    for one in status.deployments:
        starting = f", {one.starting} starting" if one.starting else ""
        if not one.ready and one.min_replicas:
            yield Finding("trouble", f"{one.name} has no ready replica{starting}")
        elif one.ready < one.min_replicas:
            yield Finding("notice", f"{one.name} has {one.ready} of {one.min_replicas} replicas ready{starting}")
    for replica in status.replicas:
        if replica.state in ("evicting", "failed"):
            why = f": {replica.reason.splitlines()[0]}" if replica.reason else ""
            yield Finding("notice", f"replica {replica.id} of {replica.deployment} is {replica.state}{why}")


def _breaker(one: DeploymentStatus) -> Finding:
    if one.breaker_state == "open":
        return Finding("trouble", f"the breaker of {one.name} is open, so it gets no requests: {one.breaker_reason}")
    return Finding("notice", f"the breaker of {one.name} is half-open, so it is being tried: {one.breaker_reason}")


def _figures(reading: Reading) -> Iterator[str]:
    status = reading.status
    if status is None:
        return
    if reading.is_live:
        replicas = counted(sum(one.ready for one in status.deployments), "ready replica")
        yield f"{replicas} of {counted(len(status.deployments), 'deployment')}"
    recent = [one for one in reading.hours if one.starts_s > reading.now_s - 2 * HOUR_S]
    if recent:
        asked = counted(sum(one.requests for one in recent), "request")
        losses = f"{sum(one.failed for one in recent):,} failed, {sum(one.truncated for one in recent):,} truncated"
        yield f"{asked} in this hour and the last, {losses}"
    if moving := _moving(reading):
        yield moving


def _moving(reading: Reading) -> str:
    running = [one for one in reading.migrations if one.phase not in OVER]
    if len(running) == 1:
        return f"{running[0].tenant} is being moved to {running[0].destination}"
    return f"{len(running) + reading.more_migrations} tenants are being moved" if running else ""
