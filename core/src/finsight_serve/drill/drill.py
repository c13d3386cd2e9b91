"""What a drill adds to its section of the runbook: the fault, and how its end is seen. The rest is the text's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..controller.status import Status
from .runbook import Section
from .service import Service
from .shape import Shape

S = TypeVar("S", bound=Service, contravariant=True)


@dataclass(frozen=True)
class Command:
    """A command of a section's Act, by its first words. `section`: another one, to which the text sends."""

    begins: str
    section: str = ""


@dataclass(frozen=True)
class Deed(Generic[S]):
    """A sentence of the text's Act that no command carries out, by its first words, and what is done."""

    begins: str
    do: Callable[[S], object]


@dataclass(frozen=True, kw_only=True)
class Drill(Generic[S]):
    """For services that are an S. Without steps its section says that it heals by itself."""

    name: str
    section: str
    fault: str
    strike: Callable[[S], float | None]  # Unix time of the fault; None: when it was called
    steps: tuple[Command | Deed[S], ...]
    is_mended: Callable[[S, Status], bool]  # beside what is wrong by `fs status`
    shape: Callable[[int], Shape] = lambda speed: Shape()  # given what the rules' times are divided by
    prepare: Callable[[S], object] = lambda service: None  # before the load begins
    words: Mapping[str, str] = field(default_factory=dict)  # what the text leaves to fill in, otherwise than usual
    alert: str = ""  # of several of its section, the one that is waited for
    is_any_alert: bool = False  # of whichever section: it has none of its own, or tells of `alert` too
    is_struck_again: bool = False  # every few seconds until the alert fires: once is over too soon
    loses_nothing: bool = False  # a failed or broken request fails the drill
    needs_head: bool = False
    wait_s: float = 300.0  # the longest that the shipped rules wait with the alert


def text_of(step: Command | Deed[S], own: Section, sections: Mapping[str, Section]) -> str:
    """The step as the runbook has it. Raises `LookupError` where it does not."""
    if isinstance(step, Deed):
        return own.sentence("Act", step.begins)
    if step.section and not own.sends_to(step.section):
        raise LookupError(f"{own.anchor}, Act: does not send to {step.section}")
    return sections[step.section or own.anchor].command("Act", step.begins)
