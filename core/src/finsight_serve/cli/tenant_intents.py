"""What the commands that change a tenant share: its limits on the command line, how it is done, and its key."""

import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EBADF
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UserError
from .options import named_state_dir
from .output import chosen_output, render

if TYPE_CHECKING:
    from ..controller.facts import TenantFact
    from ..controller.state import Durable

C = TypeVar("C", bound=Callable[..., Any])

LIMITS: Sequence[tuple[str, str, type[int] | type[float], str]] = (  # last the one that the help shows first
    ("--tokens-per-minute", "tokens_per_minute", int, "Prompt and completion tokens a minute."),
    ("--max-ongoing", "max_ongoing_requests", int, "Requests in work at a time."),
    ("--rps", "requests_per_s", float, "Requests a second."),
)
IN_FORCE_S = 10.0  # an nginx of 10,000 tenants is given new ones in two
POLL_S = 0.1


class LimitType(click.ParamType):  # type: ignore[type-arg]
    """A number above 0 and at most what fs.yaml may say of `field`, or `none`."""

    name = "limit"

    def __init__(self, number: type[int] | type[float], field: str) -> None:
        self._number, self._field = number, field

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if str(value).lower() == "none":
            return None
        most = self._most()
        try:
            limit = self._number(value)
        except ValueError:
            limit = self._number(0)
        if not 0 < limit <= most or limit == math.inf:
            what = "a whole number" if self._number is int else "a number"
            up_to = f" and at most {most:,.0f}" if most < math.inf else ""
            self.fail(f"must be {what} above 0{up_to}, or none; found {value}", param, ctx)
        return limit

    def _most(self) -> float:
        from ..stack.model import MAX_REQUESTS_PER_S, MAX_TOKENS_PER_MINUTE

        most = {"requests_per_s": MAX_REQUESTS_PER_S, "tokens_per_minute": MAX_TOKENS_PER_MINUTE}
        return most.get(self._field, math.inf)


def limit_options(command: C) -> C:
    for flag, field, number, text in LIMITS:
        command = click.option(flag, field, type=LimitType(number, field), metavar="N|none", help=text)(command)
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


def carry_out(folder: Path, fact: "TenantFact", done: str) -> None:
    """Done, and in force where a controller runs; what is so now is said on stderr. Raises `UserError`."""
    from .intents import intend

    if not intend(folder, fact):
        click.echo(f"{done} No controller runs: it is stored, and in force from the next `fs serve` on.", err=True)
    elif _wait_in_force(folder):
        click.echo(f"{done} In force now.", err=True)
    else:
        click.echo(f"{done} It is stored, and not yet in force; `fs status` shows what it waits for.", err=True)


def show_key(key: str, tenant: str, otherwise: str) -> None:
    """The key alone on stdout, for scripts; with -o json also whose it is.

    Raises `UserError` where it can't be written, with `otherwise`: what is so now, and how to come by another key.
    """
    output = chosen_output()
    try:
        if sys.stdout is None:  # click would say nothing
            raise OSError(EBADF, os.strerror(EBADF))
        click.echo(render({"tenant": tenant, "key": key} if output == "json" else key, output))
    except OSError as error:
        raise UserError(f"the key could not be written ({error.strerror or error}): {otherwise}") from error


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
