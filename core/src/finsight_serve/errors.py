"""What the person at the terminal can mend."""


def cause(error: BaseException) -> BaseException:
    """What a group of one error wraps; the error itself otherwise."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def one_line(error: BaseException) -> str:
    """For an event or a log: the type and the first line of the text."""
    error = cause(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]


class UserError(Exception):
    """Its text is for people: `fs` prints each line of it as `fs: …` and exits with 2, without a traceback."""
