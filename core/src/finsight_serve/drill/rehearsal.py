"""A drill with all that it needs: a service is made or taken, watched, loaded, exercised, and left as it was."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from ..errors import UserError
from ..host import Host
from ..stack import Stack
from . import folder, prometheus
from .choosing import choose, has_head
from .drill import Drill
from .exercise import ANSWERS, Exercise, is_well
from .faults import LONG_DAYS, certify
from .live import LiveService
from .load import count
from .runbook import Section
from .scratch import ScratchService
from .service import Service
from .shape import Choice
from .timeline import Finding
from .waiting import DrillError, wait_until

S = TypeVar("S", bound=Service)
UP_S, WATCHED_S, LOADED_S = 300.0, 180.0, 180.0


def plugins_for(drill: Drill[ScratchService], host: Host, backend: str | None) -> Choice:
    """Raises `UserError` with what this machine lacks for it, before anything is made."""
    prometheus.find()
    choice = choose(host, backend, with_head=drill.needs_head)
    if drill.needs_head and not has_head(host, choice.orchestrator):
        raise UserError(f"--backend {choice.orchestrator}: it has no head that {drill.name} could lose; leave it out")
    return choice


def check_on(stack: Stack, drill: Drill[Service], host: Host) -> None:
    """The same for a service that is there. Raises `UserError`."""
    prometheus.find()
    orchestrator = stack.backends[stack.deployments[0].backend].plugin
    if drill.needs_head and not has_head(host, orchestrator):
        raise UserError(f"{drill.name}: {orchestrator}, which runs {stack.deployments[0].name}, has no head to lose")


def carry_out(
    drill: Drill[ScratchService],
    choice: Choice,
    sections: Mapping[str, Section],
    host: Host,
    speed: int,
    say: Callable[[str], None],
) -> Finding:
    """On a service made for it. Whatever happens, nothing of it is left.

    Raises `UserError` with what the scratch service lacks here.
    """
    service = ScratchService.make(choice, host)
    say(f"{drill.name}  a scratch service on {choice.orchestrator} in {service.folder}")
    return _carry_out(drill, service, lambda: _bring_up(drill, service, speed), sections, speed, say)


def carry_out_on(
    service: LiveService,
    drill: Drill[Service],
    sections: Mapping[str, Section],
    speed: int,
    say: Callable[[str], None],
) -> Finding:
    """On a service with tenants. Whatever happens, it serves, and nothing that the drill has brought is left."""
    say(f"{drill.name}  on {service.target.stack}, deployment {service.target.deployment}")
    return _carry_out(drill, service, service.prepare, sections, speed, say)


def _carry_out(
    drill: Drill[S],
    service: S,
    bring_up: Callable[[], None],
    sections: Mapping[str, Section],
    speed: int,
    say: Callable[[str], None],
) -> Finding:
    section = sections[drill.section]
    try:
        try:
            bring_up()
            _begin(drill, service, speed)
        except DrillError as error:
            backend = service.target.orchestrator
            return Finding(drill.name, section.title, drill.fault, backend, speed, (), count(()), str(error))
        return Exercise(drill, section, sections, service, speed, say).run()
    finally:
        say(f"{drill.name}  removing what it has made")
        for left in service.close():
            say(f"{drill.name}  {left}")


def remove_left_behind(say: Callable[[str], None]) -> None:
    """Of drills that were killed."""
    for place in folder.left_behind():
        say(f"removing {place}, which a drill left that was killed")
        folder.remove(place)


def _bring_up(drill: Drill[ScratchService], service: ScratchService, speed: int) -> None:
    shape = drill.shape(speed)
    if shape.has_tls:
        certify(service, LONG_DAYS)
    service.write(shape)
    service.serve()

    def is_up() -> bool:
        status = service.status()
        return status is not None and is_well(status)

    wait_until(is_up, UP_S, "the scratch service is up")


def _begin(drill: Drill[S], service: S, speed: int) -> None:
    drill.prepare(service)
    service.begin_watch(speed)
    wait_until(service.watch.is_calm, WATCHED_S, "every rule has been looked at, and no alert fires")
    service.begin_load()
    wait_until(lambda: service.load.complete_since(0) >= ANSWERS, LOADED_S, "the steady load's streams end whole")
