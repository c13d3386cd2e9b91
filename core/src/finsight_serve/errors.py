"""What the person at the terminal can mend."""

from collections.abc import Iterable
from difflib import get_close_matches


def cause(error: BaseException) -> BaseException:
    """What a group of one error wraps; the error itself otherwise."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def one_line(error: BaseException) -> str:
    """For an event or a log: the type and the first line of the text."""
    error = cause(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """ "; did you mean x?", to end a line with; "" if nothing known is near."""
    near = get_close_matches(found, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


class UserError(Exception):
    """Its text is for people: `fs` prints each line of it as `fs: …` and exits with 2, without a traceback."""
