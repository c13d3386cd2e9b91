"""A drill with all that it needs: the scratch service is made, watched, loaded, exercised and removed."""

from collections.abc import Callable, Mapping

from ..errors import UserError
from ..host import Host
from . import folder, prometheus
from .choosing import choose, has_head
from .drill import Drill
from .exercise import ANSWERS, Exercise, is_well
from .faults import LONG_DAYS, certify
from .load import count
from .runbook import Section
from .service import Service
from .shape import Choice
from .timeline import Finding
from .waiting import DrillError, wait_until

UP_S, WATCHED_S, LOADED_S = 300.0, 180.0, 180.0


def plugins_for(drill: Drill, host: Host, backend: str | None) -> Choice:
    """Raises `UserError` with what this machine lacks for it, before anything is made."""
    prometheus.find()
    choice = choose(host, backend, with_head=drill.needs_head)
    if drill.needs_head and not has_head(host, choice.orchestrator):
        raise UserError(f"--backend {choice.orchestrator}: it has no head that {drill.name} could lose; leave it out")
    return choice


def carry_out(
    drill: Drill, choice: Choice, sections: Mapping[str, Section], host: Host, speed: int, say: Callable[[str], None]
) -> Finding:
    """Whatever happens, nothing of it is left. Raises `UserError` with what the scratch service lacks here."""
    service = Service.make(choice, host)
    try:
        try:
            _bring_up(drill, service, speed, say)
        except DrillError as error:
            section = sections[drill.section]
            return Finding(
                drill.name, section.title, drill.fault, choice.orchestrator, speed, (), count(()), str(error)
            )
        return Exercise(drill, sections[drill.section], sections, service, speed, say).run()
    finally:
        say(f"{drill.name}  removing the scratch service")
        for left in service.close():
            say(f"{drill.name}  had to be killed: {left}")


def remove_left_behind(say: Callable[[str], None]) -> None:
    """Of drills that were killed."""
    for place in folder.left_behind():
        say(f"removing {place}, which a drill left that was killed")
        folder.remove(place)


def _bring_up(drill: Drill, service: Service, speed: int, say: Callable[[str], None]) -> None:
    shape = drill.shape(speed)
    say(f"{drill.name}  a scratch service on {service.choice.orchestrator} in {service.folder}")
    if shape.has_tls:
        certify(service, LONG_DAYS)
    service.write(shape)
    service.serve()

    def is_up() -> bool:
        status = service.status()
        return status is not None and is_well(status)

    wait_until(is_up, UP_S, "the scratch service is up")
    drill.prepare(service)
    service.begin_watch(speed)
    wait_until(service.watch.is_calm, WATCHED_S, "every rule has been looked at, and no alert fires")
    service.begin_load()
    wait_until(lambda: service.load.complete_since(0) >= ANSWERS, LOADED_S, "the steady load's streams end whole")
