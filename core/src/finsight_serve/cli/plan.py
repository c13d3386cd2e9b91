"""`fs plan`: every artefact that `fs serve` would write or apply, and the difference to what is in force."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .fidelity_view import shown_fidelity
from .options import (
    TAKES_BACKEND_FLAGS,
    backend_flags,
    backend_option,
    file_option,
    say_nothing,
    state_dir,
    state_option,
)
from .output import Section, rendered

if TYPE_CHECKING:
    from ..controller.facts import StackAmended, StackChosen
    from ..controller.planning import Preview
    from ..controller.state import State
    from ..host import Host


@click.command(short_help="Show what would change, before anything does", context_settings=TAKES_BACKEND_FLAGS)
@file_option
@state_option
@backend_option
@backend_flags
@rendered
def plan(file: Path, state: Path | None, backend: str | None, backend_flags: tuple[str, ...]) -> object:
    """Look at what runs, compile fs.yaml for it, and show the difference. Nothing is written or applied."""
    from ..controller.assembly import build_engine, choose_stack
    from ..controller.state import State
    from ..host import Host
    from ..stack import load_stack
    from .backend_flags import parse_backend_flags
    from .stored import folder_or_scratch, stored_owner, stored_state, was_served

    host = Host()
    overrides = parse_backend_flags(backend_flags, host.names("orchestrator"))
    stack = load_stack(file, host, backend=backend, overrides=overrides)
    folder = state_dir(stack.name, state)
    served = was_served(folder)
    old, owner = (stored_state(folder), stored_owner(folder)) if served else (State(), "")
    with folder_or_scratch(folder) as place:
        chosen = choose_stack(stack, {d.name: build_engine(d, host, place, say_nothing) for d in stack.deployments})
        return list(_sections(look(old, chosen, host, place, owner)))


def look(state: "State", fact: "StackChosen | StackAmended", host: "Host", folder: Path, owner: str) -> "Preview":
    """What `fact` would change of what runs, which is looked at once."""
    import anyio

    from ..controller.assembly import build_parts
    from ..controller.planning import preview
    from ..controller.reduce import reduce
    from ..processes import SystemClock

    now_s = SystemClock().now()
    retired = reduce(state, fact, now_s).state.durable.retired
    parts = build_parts(fact.stack, retired, host, folder, owner, say_nothing)
    return anyio.run(preview, state, fact, parts, now_s)


def _sections(preview: "Preview") -> Iterator[Section]:
    yield Section(
        "changes",
        [
            {"backend": c.backend or "load balancer", "artefact": c.artefact, "action": c.action}
            for c in preview.changes
        ],
    )
    yield diff_section(preview)
    yield Section("fidelity", shown_fidelity(preview.fidelity))
    yield Section("could not be looked at", preview.unknown and [{"what": line} for line in preview.unknown])


def diff_section(preview: "Preview") -> Section:
    changed = [c for c in preview.changes if c.action != "keep"]
    return Section("diff", "\n".join(f"{c.backend or 'load balancer'}: {c.artefact}\n{c.diff}" for c in changed))
