"""`fs policy compile`: what a backend is told of a policy, and how truly it can follow each field."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ..errors import UserError
from .options import TAKES_BACKEND_FLAGS, backend_flags, file_option
from .policy import POLICY_COMMANDS

if TYPE_CHECKING:
    from .compiling import Compiled, Source

NOTE_WIDTH, VALUE_WIDTH = 90, 60


@click.command("compile", short_help=POLICY_COMMANDS["compile"], context_settings=TAKES_BACKEND_FLAGS)
@click.option("--policy", "reference", metavar="REF", help="module:NAME, fs.yaml or fs.yaml:DEPLOYMENT, instead of -f.")
@file_option
@click.option(
    "--deployment", metavar="NAME", help="Whose policy; with --policy: what it is for. [default there: deployment]"
)
@click.option("--backend", metavar="NAME", help="For which backend; the deployment's own unless given.")
@click.option("--engine", metavar="NAME", help="With --policy: whose metrics are scaled by, where engines differ.")
@click.option("--at", metavar="T", help="When the numbers hold, as 2026-11-27T12:30. [default: now]")
@click.option(
    "--export", is_flag=True, help="For where no controller runs: with the schedule, as far as it can be said."
)
@click.option("--require-exact", "required", metavar="FIELD", multiple=True, help="Fail unless this field is exact.")
@click.option("-o", "--output", type=click.Choice(["table", "yaml", "json"]), default="table", help="How to print it.")
@backend_flags
def policy_compile(
    reference: str | None,
    file: Path,
    deployment: str | None,
    backend: str | None,
    engine: str | None,
    at: str | None,
    export: bool,
    required: tuple[str, ...],
    output: str,
    backend_flags: tuple[str, ...],
) -> None:
    """Print what a backend is told of a policy, with a grade for every field. Starts and changes nothing.

    With -o yaml the manifests can be piped into `kubectl apply -f -`; their fidelity stands above them in comments.
    """
    from ..host import Host
    from ..processes import SystemClock
    from .backend_flags import parse_backend_flags
    from .compiling import compile_at, from_file, from_reference
    from .moment import parse_moment, zone_of

    _check_fields(required)
    host = Host()
    overrides = parse_backend_flags(backend_flags, host.names("orchestrator"))
    given = click.get_current_context().get_parameter_source("file") is ParameterSource.COMMANDLINE
    if reference and given:
        raise UserError("--policy names one policy: leave out -f")
    if engine and not reference:
        raise UserError("--engine is for --policy: a file says its deployments' engines itself")
    if reference:
        source = from_reference(reference, deployment or "deployment", backend, engine, overrides, host)
    else:
        source = from_file(file, deployment, backend, overrides, host)
    at_s = parse_moment("--at", at, zone_of(source.policy)).timestamp() if at else SystemClock().now()
    compiled = compile_at(source, at_s, exported=export, host=host)
    _require_exact(required, source, compiled)
    click.echo(_render(source, compiled, output))


def _check_fields(required: Sequence[str]) -> None:
    from ..domain import AutoscalingPolicy
    from ..stack.wording import suggest

    known = [spec.name for spec in fields(AutoscalingPolicy)]
    for name in required:
        if name not in known:
            raise UserError(f"--require-exact: a policy has no field {name}{suggest(name, known)}")


def _require_exact(required: Sequence[str], source: "Source", compiled: "Compiled") -> None:
    grades = compiled.grades
    missed = [
        f"{name} is {grades[name].verdict}: {grades[name].note}" for name in required if not _is_exact(compiled, name)
    ]
    if missed:
        raise click.ClickException(f"backend {source.backend}: {'; '.join(missed)}")


def _is_exact(compiled: "Compiled", field: str) -> bool:
    return compiled.grades[field].verdict == "exact"


def _render(source: "Source", compiled: "Compiled", output: str) -> str:
    from .output import Section, render

    if output == "yaml":
        return "\n".join(_yaml(source, compiled))
    fidelity = [{"field": name, "grade": grade.verdict, "note": grade.note} for name, grade in compiled.grades.items()]
    if output == "json":
        return render(
            {
                "deployment": source.deployment,
                "backend": source.backend,
                "policy": asdict(compiled.policy),
                "artefacts": [{"name": one.name, "body": one.body} for one in compiled.artefacts],
                "fidelity": fidelity,
                "places": compiled.places,
            },
            "json",
        )
    rows = [
        {
            "field": row["field"],
            "value": _short(getattr(compiled.policy, row["field"])),
            **row,
            "note": _wrap(row["note"]),
        }
        for row in fidelity
    ]
    places = [{**asdict(place), "value": _cut(str(place.value))} for place in compiled.places]
    return render([Section("fidelity", rows), Section("where the numbers went", places)], "table")


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} window{'s' * (len(value) > 1)}" if value else "-"
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _wrap(note: str) -> str:
    return "\n".join(textwrap.wrap(note, NOTE_WIDTH))


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 1] + "…"


def _yaml(source: "Source", compiled: "Compiled") -> "Iterator[str]":
    """One document for each artefact; what is no manifest in its own right is named in a comment all the same."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096  # queries and formulas stay in one line
    yield f"# {source.deployment} on {source.backend}: how truly it follows each field of the policy"
    for name, grade in compiled.grades.items():
        yield f"#   {name}: {grade.verdict}" + (f", {grade.note}" if grade.note else "")
    for artefact in compiled.artefacts:
        text = StringIO()
        yaml.dump(artefact.body, text)
        yield f"---\n# {artefact.name}\n{text.getvalue().rstrip()}"
