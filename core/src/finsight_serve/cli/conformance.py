"""`fs conformance`: the public conformance kit over an installed plugin, with a report that can be published."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError, did_you_mean
from .main import COMMANDS
from .options import TAKES_BACKEND_FLAGS, backend_flags, check_writable, duration, file_option
from .output import render

if TYPE_CHECKING:
    from ..host import Host
    from .conformance_run import Check, Subject

LISTEN = "listen"
"""An option of this name says where a load balancer listens: for the checks, on a free port and never the stack's."""


@click.command(short_help=COMMANDS["conformance"], context_settings=TAKES_BACKEND_FLAGS)
@click.argument("name", metavar="BACKEND|LOAD_BALANCER")
@file_option
@click.option(
    "--deadline",
    type=duration,
    default="120s",
    show_default=True,
    metavar="TIME",
    help="How long a replica of the kit's small engine may take to be ready, or to be gone.",
)
@click.option(
    "--other",
    multiple=True,
    metavar="OPTION=VALUE",
    help="In what the options of a second owner differ, where only that keeps two apart: namespace=second.",
)
@click.option(
    "--replica-host",
    metavar="ADDRESS",
    help="Where a load balancer reaches the kit's replicas: an address of this machine.  [default: 127.0.0.1]",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write it, as .html or .md."
)
@click.option("--ran-on", default="", metavar="TEXT", help='For the report: "Acme 3.1", what is no part of the plugin.')
@backend_flags
def conformance(
    name: str,
    file: Path,
    deadline: float,
    other: tuple[str, ...],
    replica_host: str | None,
    output: str,
    report: Path | None,
    ran_on: str,
    backend_flags: tuple[str, ...],
) -> None:
    """Run every check of the contract over an installed plugin, with the options that fs.yaml gives it.

    It starts real replicas of a small engine where the options say, and takes them down again. Options may be given
    here too: --NAME-OPTION VALUE. Exit code 1: a check failed.
    """
    from ..host import Host
    from ..processes import SystemClock
    from .conformance_report import check_format, make_report, verdict, write_report
    from .conformance_run import require_kit, run_checks

    if report is not None:
        check_format(report)
        check_writable(report)
    require_kit()
    host = Host()
    subject = _beside(_find(name, file, host, backend_flags, deadline), host, other, replica_host)
    began_s = SystemClock().now()
    checks = []
    for check in run_checks(subject):
        checks.append(check)
        if output == "table":
            click.echo(_line(check))
    if output == "json":
        click.echo(
            render({"about": make_report(subject, host, checks, began_s, ran_on).about, "checks": checks}, "json")
        )
    else:
        click.echo(f"{name}: {verdict(checks)}")
    if report is not None:
        write_report(report, make_report(subject, host, checks, began_s, ran_on))
    if any(check.outcome == "failed" for check in checks):
        sys.exit(1)


def _line(check: "Check") -> str:
    row = asdict(check)
    return f"{row['outcome']:<8} {row['check']}" + (f": {row['why']}" if row["why"] else "")


def _find(name: str, file: Path, host: "Host", flags: tuple[str, ...], deadline_s: float) -> "Subject":
    """Raises `UserError`."""
    from ..plugin import Feature
    from .backend_flags import parse_backend_flags
    from .conformance_run import Subject

    known = (*host.names("orchestrator"), *host.names("load_balancer"))
    kind, plugin, options = _configured(name, file, host)
    given = parse_backend_flags(flags, tuple({*known, name}))
    foreign = [key for key in given if not key.startswith(f"backends.{name}.")]
    if foreign:
        raise UserError(f"{foreign[0]}: only {name} is checked, and takes --{name}-OPTION VALUE")
    flagged = {key.removeprefix(f"backends.{name}."): value for key, value in given.items()}
    options = {**options, **flagged}
    _check_options(name, kind, plugin, options, host)
    found = host.load(kind, plugin)
    if kind == "load_balancer":
        free = (LISTEN,) if LISTEN in found.Options.model_fields and LISTEN not in flagged else ()
        return Subject(name, "load_balancer", plugin, options, "LoadBalancerConformance", deadline_s, free)
    kit = "RendererConformance" if Feature.APPLY in found.lacks else "OrchestratorConformance"
    return Subject(name, "orchestrator", plugin, options, kit, deadline_s)


def _beside(subject: "Subject", host: "Host", other: tuple[str, ...], replica_host: str | None) -> "Subject":
    """With what stands beside the plugin in its checks. Raises `UserError`."""
    from .backend_flags import read_value

    if other and subject.kind != "orchestrator":
        raise UserError(f"--other: {subject.name} is no backend, and no check sets a second owner beside it")
    if replica_host and subject.kind != "load_balancer":
        raise UserError(f"--replica-host: {subject.name} is no load balancer, and starts its replicas itself")
    pairs = [text.partition("=") for text in other]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UserError(f"--other: must be OPTION=VALUE, found {wrong[0]}")
    changed = {name.replace("-", "_"): read_value(value) for name, _, value in pairs}
    _check_options(subject.name, subject.kind, subject.plugin, {**subject.options, **changed}, host)
    return replace(subject, other=changed, replica_host=replica_host or subject.replica_host)


def _check_options(name: str, kind: Any, plugin: str, options: Mapping[str, Any], host: "Host") -> None:
    """Raises `UserError`."""
    from pydantic import ValidationError

    try:
        host.options(kind, plugin, options)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{name}: option {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _configured(name: str, file: Path, host: "Host") -> tuple[Any, str, Mapping[str, Any]]:
    """Kind, plugin and options: as the file has them, else an installed plugin's own. Raises `UserError`."""
    found = dict(_named(file)) if file.exists() or _was_given("file") else {}
    if name in found:
        return found[name]
    for kind in ("orchestrator", "load_balancer"):
        if name in host.names(kind):
            return kind, name, {}
    names = sorted({*found, *host.names("orchestrator"), *host.names("load_balancer")})
    raise UserError(
        f"no backend and no load balancer is named {name}; there are {', '.join(names)}" + did_you_mean(name, names)
    )


def _was_given(parameter: str) -> bool:
    from click.core import ParameterSource

    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def _named(file: Path) -> Iterator[tuple[str, tuple[str, str, Mapping[str, Any]]]]:
    """Every backend, load balancer and edge that the file names, also those that no deployment uses."""
    from ..stack.document import read_document

    document = read_document(file)
    for place in ("load_balancer", "edge"):
        entry = document.get(place)
        entry = {"plugin": entry} if isinstance(entry, str) else entry
        if isinstance(entry, dict) and isinstance(entry.get("plugin"), str):
            yield entry["plugin"], ("load_balancer", *_split(entry, "plugin"))
    backends = document.get("backends")
    for name, entry in backends.items() if isinstance(backends, dict) else ():
        if isinstance(entry, dict):
            yield name, ("orchestrator", *_split({"orchestrator": name, **entry}, "orchestrator"))


def _split(entry: Mapping[str, Any], key: str) -> tuple[str, Mapping[str, Any]]:
    return str(entry[key]), {name: value for name, value in entry.items() if name != key}
