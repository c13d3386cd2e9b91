"""The cron expressions that KEDA 2.21 reads: five fields in the grammar of Go's robfig/cron 3. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STARS = ("*", "?")


@dataclass(frozen=True)
class Field:
    name: str
    least: int
    most: int
    names: Mapping[str, int] = field(default_factory=dict)


def _numbered(names: str, first: int) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(names.split(), first)}


MONTHS = _numbered("jan feb mar apr may jun jul aug sep oct nov dec", 1)
DAYS = _numbered("sun mon tue wed thu fri sat", 0)
FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, DAYS),
)
DAY_OF_MONTH, DAY_OF_WEEK = 2, 4


def check_expression(expression: str) -> None:
    """Raises `ValueError` that says what KEDA can't read."""
    parts = expression.split()
    if len(parts) != len(FIELDS):
        raise ValueError(f"it takes {len(FIELDS)} fields, not {len(parts)}")
    for kind, part in zip(FIELDS, parts, strict=True):
        for term in filter(None, part.split(",")):
            _check_term(kind, term)


def takes_either_day(expression: str) -> bool:
    """Whether a day need match only one of the two fields. A step makes of a star something that counts as a choice."""
    parts = expression.split()
    return not any(_is_star(parts[place]) for place in (DAY_OF_MONTH, DAY_OF_WEEK))


def _is_star(part: str) -> bool:
    terms: Sequence[str] = part.split(",")
    return any(term.partition("/")[0] in STARS and term.partition("/")[2] in ("", "1") for term in terms)


def _check_term(kind: Field, term: str) -> None:
    reach, *steps = term.split("/")
    if len(steps) > 1:
        raise ValueError(f"{term!r} has more than one step")
    if steps and _number(kind, steps[0], term) == 0:
        raise ValueError(f"{term!r} has a step of 0")
    ends = reach.split("-")
    if ends[0] in STARS:
        return
    if len(ends) > 2:
        raise ValueError(f"{term!r} is no range")
    first, last = (_value(kind, end, term) for end in (ends[0], ends[-1]))
    for value in (first, last):
        if not kind.least <= value <= kind.most:
            raise ValueError(f"the {kind.name} in {term!r} must be from {kind.least} to {kind.most}")
    if first > last:
        raise ValueError(f"the range {term!r} ends before it begins")


def _value(kind: Field, text: str, term: str) -> int:
    named = kind.names.get(text.lower())
    return _number(kind, text, term) if named is None else named


def _number(kind: Field, text: str, term: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"it knows no {text!r} as {kind.name}" if text else f"{term!r} lacks a number")
    return int(text)
