"""`fs apply`: take changed policies, health and breaker rules and limits up, live, after showing what would change."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .main import COMMANDS
from .options import (
    TAKES_BACKEND_FLAGS,
    backend_flags,
    backend_option,
    confirm,
    file_option,
    state_dir,
    state_option,
)
from .output import Section, render

if TYPE_CHECKING:
    from ..controller.client import Client
    from ..stack import Stack

PATIENCE_S = 60.0
POLL_S = 0.2


@click.command(short_help=COMMANDS["apply"], context_settings=TAKES_BACKEND_FLAGS)
@file_option
@state_option
@backend_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@backend_flags
def apply(file: Path, state: Path | None, backend: str | None, yes: bool, backend_flags: tuple[str, ...]) -> None:
    """Show how fs.yaml differs from what runs, ask, and change it without replacing a replica.

    Policies, health and breaker rules and tenants' limits can be changed so; for anything else there is `fs serve`.
    Exit code 1: you said no, and nothing was changed.
    """
    from ..controller.amendment import differences
    from ..controller.client import Client
    from ..controller.facts import StackAmended
    from ..errors import UserError
    from ..host import Host
    from ..stack import load_stack
    from .backend_flags import parse_backend_flags
    from .bringup import compile_problems, refuse
    from .intents import who
    from .plan import diff_section, look
    from .stored import stored_owner, stored_stack, stored_state

    host = Host()
    overrides = parse_backend_flags(backend_flags, host.names("orchestrator"))
    new = load_stack(file, host, backend=backend, overrides=overrides)
    folder = state_dir(new.name, state)
    old = stored_stack(folder)
    client = Client(folder)
    if client.status() is None:
        raise UserError(f"{folder}: no controller runs here; `fs serve` starts one, with {file} as it is now")
    refuse_what_is_more(file, old, new)
    changes = list(differences(old, new))
    if not changes:
        click.echo(f"Nothing to change: what runs is as {file} says.")
        return
    refuse(compile_problems(new, host, folder))
    amended = StackAmended(new, by=who())
    preview = look(stored_state(folder), amended, host, folder, stored_owner(folder))
    click.echo(render([Section("changes", "\n".join(changes)), diff_section(preview)], "table"))
    if not yes:
        confirm("Apply it?", "`fs apply --yes` applies it")
    if not client.intend(amended):
        raise UserError("the controller ended meanwhile, and nothing was changed; `fs serve` starts one")
    _wait(client)
    click.echo("Applied.")


def refuse_what_is_more(file: Path, old: "Stack", new: "Stack") -> None:
    """Raises `UserError`: a line for each difference that is more than numbers, with what takes it up."""
    from ..controller.amendment import moves, obstacles
    from ..errors import UserError

    needs = "that needs `fs serve`: end the running one by SIGTERM first, traffic goes on"
    hints = {line: f"; or `fs migrate {name} --to {to}` moves it under limits" for line, name, to in moves(old, new)}
    found = [f"{file}: {line}; {needs}{hints.get(line, '')}" for line in obstacles(old, new)]
    if found:
        raise UserError("\n".join(found))


def _wait(client: "Client") -> None:
    """Until all of it is in force. Raises `UserError` with what keeps it from being so."""
    from ..errors import UserError

    until_s = time.monotonic() + PATIENCE_S
    while not client.is_settled():
        status = client.status()
        if status is None:
            raise UserError("the controller ended meanwhile: the change is stored, the next `fs serve` applies it")
        wrong = [f"backend {b.name}: {b.state}" for b in status.backends if b.state.startswith("not applied")]
        if wrong or time.monotonic() > until_s:
            waited = f"not in force after {PATIENCE_S:g} s; `fs status` shows what it waits for"
            raise UserError("\n".join(wrong) or waited)
        time.sleep(POLL_S)
