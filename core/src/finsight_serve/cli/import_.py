"""`fs import`: take over what was set up by other means, without touching what it does."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from ..errors import UserError
from .main import COMMANDS
from .options import TAKES_BACKEND_FLAGS, backend_flags, backend_option, confirm, file_option, state_dir, state_option

if TYPE_CHECKING:
    from ..capabilities import Adopter
    from ..controller.session import Held
    from ..controller.state import Durable
    from ..host import Host
    from ..plugin import Plan
    from ..stack import Stack

    Found = Mapping[str, Mapping[str, str]]
    """Backend → artefact → whose it is."""


@click.command("import", short_help=COMMANDS["import"], context_settings=TAKES_BACKEND_FLAGS)
@file_option
@state_option
@backend_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@backend_flags
def import_(file: Path, state: Path | None, backend: str | None, yes: bool, backend_flags: tuple[str, ...]) -> None:
    """Show what runs under fs.yaml's names and isn't this stack's, ask, and make it this stack's.

    Nothing restarts: whose it is changes, and what differs from the file is shown by `fs plan` and changed by the next
    `fs serve`. Interrupted, the same command goes on where it was. Exit code 1: you said no, and nothing was changed.
    """
    from ..controller.session import hold
    from ..host import Host
    from ..stack import load_stack
    from .backend_flags import parse_backend_flags

    host = Host()
    overrides = parse_backend_flags(backend_flags, host.names("orchestrator"))
    stack = load_stack(file, host, backend=backend, overrides=overrides)
    _refuse_what_cannot(stack, host)
    with hold(state_dir(stack.name, state)) as held:
        _import(stack, host, held, yes)


def _refuse_what_cannot(stack: "Stack", host: "Host") -> None:
    able = [name for name, ref in stack.backends.items() if hasattr(host.load("orchestrator", ref.plugin), "adopt")]
    if not able:
        names = ", ".join(stack.backends)
        raise UserError(f"backend {names}: nothing that others set up can be taken over; `fs serve` sets it up itself")


def _import(stack: "Stack", host: "Host", held: "Held", yes: bool) -> None:
    """Raises `UserError`."""
    import anyio

    from ..controller.assembly import build_engine, choose_stack
    from ..controller.memory import documents, recall
    from ..controller.reduce import reduce
    from ..processes import SystemClock
    from .intents import who
    from .options import say_nothing

    engines = {one.name: build_engine(one, host, held.folder, say_nothing) for one in stack.deployments}
    chosen = replace(choose_stack(stack, engines), by=who())
    step = reduce(recall(held.store), chosen, SystemClock().now())
    if step.refused:
        raise UserError(step.refused)
    plans = _plans(stack, host, held, step.state.durable)
    found = anyio.run(_look, plans)
    if not any(found.values()):
        click.echo("Nothing to import: what runs under these names is this stack's already, or nothing does.")
        return
    click.echo(_shown(found))
    if not yes:
        confirm("Take it over?", "`fs import --yes` takes it over")
    # What is taken over may serve people: a failing start must not take it down, as it does what is new. Stored first,
    # so that whatever is this stack's is known to be, also where this is interrupted.
    served = replace(step.state, durable=replace(step.state.durable, serving=True))
    held.store.write_now(documents(served), step.events, step.audit)
    anyio.run(_adopt, plans, found)
    click.echo("Imported. `fs plan` shows what the next `fs serve` will change of it.")


def _plans(stack: "Stack", host: "Host", held: "Held", durable: "Durable") -> "Mapping[str, tuple[Adopter, Plan]]":
    from ..controller.assembly import build_parts
    from ..controller.want import deployment_specs

    parts = build_parts(stack, {}, host, held.folder, held.store.owner(), click.echo)
    return {
        name: (cast("Adopter", one), one.compile(deployment_specs(durable, stack, name)))
        for name, one in parts.orchestrators.items()
        if hasattr(one, "adopt")
    }


async def _look(plans: "Mapping[str, tuple[Adopter, Plan]]") -> "Found":
    return {name: await adopter.adoptable(plan) for name, (adopter, plan) in plans.items()}


async def _adopt(plans: "Mapping[str, tuple[Adopter, Plan]]", found: "Found") -> None:
    for name, (adopter, plan) in plans.items():
        if found[name]:
            await adopter.adopt(plan)


def _shown(found: "Found") -> str:
    from .output import render

    rows = [
        {"backend": name, "artefact": artefact, "whose it is": whose}
        for name, artefacts in found.items()
        for artefact, whose in artefacts.items()
    ]
    return render(rows, "table")
