"""What the commands that change a tenant share: its limits on the command line, the question, and how it is done."""

import math
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UserError
from .options import named_state_dir

if TYPE_CHECKING:
    from ..controller.facts import TenantFact
    from ..controller.state import Durable

C = TypeVar("C", bound=Callable[..., Any])

IN_FORCE_S = 10.0  # an nginx of 10,000 tenants is given new ones in two
POLL_S = 0.1


class LimitType(click.ParamType):  # type: ignore[type-arg]
    """A number above 0, or `none`."""

    name = "N|none"

    def __init__(self, number: type[int] | type[float]) -> None:
        self._number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == "none":
            return None
        try:
            limit = self._number(value)
        except ValueError:
            limit = self._number(0)
        if not 0 < limit < math.inf:
            what = "a whole number" if self._number is int else "a number"
            self.fail(f"must be {what} above 0, or none; found {value}", param, ctx)
        return limit


def limit_options(command: C) -> C:
    for option in (
        click.option("--tokens-per-minute", type=LimitType(int), help="Prompt and completion tokens a minute."),
        click.option("--max-ongoing", "max_ongoing_requests", type=LimitType(int), help="Requests in work at a time."),
        click.option("--rps", "requests_per_s", type=LimitType(float), help="Requests a second."),
    ):
        command = option(command)
    return command


def new_key() -> tuple[str, str]:
    """A tenant's key, to be shown once, and its SHA-256, to be stored."""
    key = f"fs-{secrets.token_urlsafe(32)}"
    return key, sha256(key.encode()).hexdigest()


def served(file: Path, state: Path | None) -> "tuple[Path, Durable]":
    """The state folder and what is stored there. Raises `UserError` where nothing was served yet."""
    from .stored import stored_stack, stored_state

    folder = named_state_dir(file, state)
    stored_stack(folder)
    return folder, stored_state(folder).durable


def check_known(durable: "Durable", name: str) -> None:
    """Before a person is asked anything about it. Raises `UserError`."""
    from ..controller.refusal import Refusal
    from ..controller.tenancy import find_tenant

    try:
        find_tenant(durable, name)
    except Refusal as refusal:
        raise UserError(str(refusal)) from refusal


def confirm(question: str, command: str, *, yes: bool) -> None:
    """Raises `UserError` where there is nobody to ask, `click.Abort` for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"nobody can be asked here: `{command} --yes` does it without a question")
    click.confirm(question, abort=True, err=True)


def carry_out(folder: Path, fact: "TenantFact", done: str) -> None:
    """Done, and in force where a controller runs; what is so now is said on stderr. Raises `UserError`."""
    from .intents import intend

    if not intend(folder, fact):
        click.echo(f"{done} No controller runs: it is stored, and holds from the next `fs serve` on.", err=True)
    elif _wait_in_force(folder):
        click.echo(f"{done} It holds now.", err=True)
    else:
        click.echo(f"{done} It is stored, and not yet in force; `fs status` shows what it waits for.", err=True)


def show_key(key: str, tenant: str) -> str | Mapping[str, str]:
    """The key alone, for scripts; with -o json also whose it is."""
    as_json = click.get_current_context().params["output"] == "json"
    return {"tenant": tenant, "key": key} if as_json else key


def _wait_in_force(folder: Path) -> bool:
    """Ctrl-C ends the waiting and no more: a key that is stored must still be shown."""
    from ..controller.client import Client

    client, until_s = Client(folder), time.monotonic() + IN_FORCE_S
    with suppress(KeyboardInterrupt):
        while time.monotonic() < until_s:
            if client.is_settled():
                return True
            time.sleep(POLL_S)
    return False
