"""Options that several commands share."""

import re
import sys
from pathlib import Path

import click

from ..errors import UserError

file_option = click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=Path("fs.yaml"),
    show_default=True,
    metavar="FILE",
    help="The stack's file.",
)
state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FS_STATE_DIR",
    metavar="DIR",
    help="The stack's state folder. [env: FS_STATE_DIR; default: one per stack name in the user's state folder]",
)
backend_option = click.option(
    "--backend", metavar="NAME", help="Run every deployment that names no backend on this one."
)

backend_flags = click.argument("backend_flags", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME-OPTION VALUE]...")
TAKES_BACKEND_FLAGS = {"ignore_unknown_options": True}
"""Context settings of a command with `backend_flags`: what click does not know is read by `parse_backend_flags`."""


def duration(text: str) -> float:
    """The type of an option in seconds, written as 90s, 10m, 1.5h or 7d."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text)
    if not found:
        raise click.BadParameter(f"must be a time as 90s, 10m, 1.5h or 7d, found {text}")
    return float(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[found[2]]


def percent(text: str) -> int:
    """The type of an option written as 5%, or 5."""
    found = re.fullmatch(r"(\d{1,3})%?", text)
    if not found or int(found[1]) > 100:
        raise click.BadParameter(f"must be a whole number of percent as 5%, at most 100%, found {text}")
    return int(found[1])


def say_nothing(_: str) -> None:
    """Progress that nobody waits for."""


def check_writable(path: Path) -> None:
    """Before minutes are spent on what can't be written. Raises `UserError`."""
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: {path.parent} is no folder; make it first")


def confirm(question: str, otherwise: str) -> None:
    """Ask on stderr; a no ends the command with exit code 1. Raises `UserError` where there is nobody to ask.

    `otherwise`: the command line that needs no question, and what it does.
    """
    if not sys.stdin.isatty():
        raise UserError(f"nobody can be asked here: {otherwise} without a question")
    if not click.confirm(question, err=True):
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(1)


def state_dir(stack_name: str, given: Path | None) -> Path:
    """The folder of a stack's state: the given one, or one by the stack's name for this user."""
    if given is not None:
        return given.absolute()
    from platformdirs import user_state_path

    return user_state_path("finsight-serve") / stack_name


def named_state_dir(file: Path, given: Path | None) -> Path:
    """`state_dir` for commands that need no more of the file than its name. Raises `UserError`."""
    if given is not None:
        return state_dir("", given)
    from ..stack.document import read_document
    from ..stack.model import check_name

    name = read_document(file).get("name")
    try:
        return state_dir(check_name(name if isinstance(name, str) else ""), None)
    except ValueError as error:
        raise UserError(f"{file}: name: {error}") from error
