"""`fs plan`: every artefact that `fs serve` would write or apply, and the difference to what is in force."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
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
from .output import Section, render

if TYPE_CHECKING:
    from ..controller.facts import StackAmended, StackChosen
    from ..controller.planning import Preview
    from ..controller.state import State
    from ..host import Host
    from ..stack import Stack

PRINTED = ("table", "json")
PROMETHEUS, GRAFANA = "prometheus", "grafana"


@click.command(short_help="Show what would change, before anything does", context_settings=TAKES_BACKEND_FLAGS)
@file_option
@state_option
@backend_option
@click.option(
    "-o",
    "--output",
    default="table",
    show_default=True,
    metavar="table|json|prometheus|grafana|FORM",
    help="How to print it; a form in which its backend exports it, as yaml, kustomize or helm; prometheus or grafana.",
)
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Export into this folder.")
@click.option("--force", is_flag=True, help="With --to: also into a folder that holds other files.")
@click.option(
    "--no-controller", "alone", is_flag=True, help="Export for a place in which no controller runs, with schedules."
)
@click.option("--in-cluster", is_flag=True, help="Export the controller, which runs there and makes the deployments.")
@click.option("--image", metavar="IMAGE", help="With --in-cluster: has `fs` and the plugins that the file names.")
@click.option("--host", "host_name", metavar="NAME", help="With --in-cluster: the name by which clients reach it.")
@backend_flags
def plan(
    file: Path,
    state: Path | None,
    backend: str | None,
    output: str,
    to: Path | None,
    force: bool,
    alone: bool,
    in_cluster: bool,
    image: str | None,
    host_name: str | None,
    backend_flags: tuple[str, ...],
) -> None:
    """Look at what runs, compile fs.yaml for it, and show the difference. Nothing is written or applied.

    With -o FORM print instead what people apply by their own means, or write it into a folder; with -o prometheus
    write what Prometheus scrapes, records and watches for, with -o grafana dashboards of that.
    """
    from ..host import Host
    from ..stack import load_stack
    from .backend_flags import parse_backend_flags

    host = Host()
    overrides = parse_backend_flags(backend_flags, host.names("orchestrator"))
    stack = load_stack(file, host, backend=backend, overrides=overrides)
    folder = state_dir(stack.name, state)
    if output in PRINTED:
        _refuse_for_exports_only(to=to, force=force, no_controller=alone, in_cluster=in_cluster)
        click.echo(render(list(_compared(stack, folder, host)), output))
        return
    from .export_folder import write

    _check_in_cluster(in_cluster, alone, image, host_name)
    if output in (PROMETHEUS, GRAFANA):
        from .grafana_export import export_for_grafana
        from .prometheus_export import export_for_prometheus

        _refuse_for_deployments_only(output, in_cluster=in_cluster, no_controller=alone)
        drawn = output == GRAFANA
        files, notes = (
            export_for_grafana(stack, folder, host) if drawn else export_for_prometheus(file, stack, folder, host)
        )
    else:
        from .exports import Export, InCluster, export

        inside = InCluster(file, image, host_name or "", backend, overrides) if in_cluster and image else None
        files, notes = export(Export(stack, folder, host), backend, output, alone, inside)
    write(files, output, to, force)
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _refuse_for_exports_only(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise UserError(f"--{name.replace('_', '-')} is for exports: say in which form with -o FORM")


def _refuse_for_deployments_only(output: str, **given: bool) -> None:
    for name, value in given.items():
        if value:
            raise UserError(f"--{name.replace('_', '-')} is for exports of deployments; leave it out for -o {output}")


def _check_in_cluster(in_cluster: bool, alone: bool, image: str | None, host_name: str | None) -> None:
    if in_cluster and image is None:
        raise UserError("--in-cluster needs --image IMAGE, which has `fs` and the plugins that the file names")
    if in_cluster and alone:
        raise UserError("--in-cluster exports a controller, and --no-controller is for where none runs: choose one")
    if not in_cluster and (image is not None or host_name is not None):
        raise UserError("--image and --host are for --in-cluster; replicas' images are options of the backend")


def _compared(stack: "Stack", folder: Path, host: "Host") -> Iterator[Section]:
    from ..controller.assembly import build_engine, choose_stack
    from ..controller.state import State
    from .stored import folder_or_scratch, stored_owner, stored_state, was_served

    served = was_served(folder)
    old, owner = (stored_state(folder), stored_owner(folder)) if served else (State(), "")
    with folder_or_scratch(folder) as place:
        chosen = choose_stack(stack, {d.name: build_engine(d, host, place, say_nothing) for d in stack.deployments})
        yield from _sections(look(old, chosen, host, place, owner))


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
