"""`fs drill`: a section of the runbook carried out for real, on a service made for it."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..domain.wording import counted
from ..errors import UserError, did_you_mean
from .main import COMMANDS
from .options import check_writable
from .output import Section, Shown, render

if TYPE_CHECKING:
    from ..drill.drill import Drill
    from ..drill.timeline import Finding

PAGE, DOCUMENT = ".html", ".md"


@click.command("drill", short_help=COMMANDS["drill"])
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Every drill, one after the other: the gate of a release.")
@click.option("--backend", metavar="NAME", help="An orchestrator; default: the first that will do.")
@click.option(
    "--speed",
    default=15,
    show_default=True,
    type=click.IntRange(1, 30),
    help="What the rules' `for:`, windows and intervals are divided by; 1: as shipped.",
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Write a page ({PAGE}) or a document ({DOCUMENT}); may be given again.",
)
# other commands have it, so it is tried: what is said then is better than that there is no such option
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), hidden=True)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
@click.pass_context
def drill(
    context: click.Context,
    names: tuple[str, ...],
    every: bool,
    backend: str | None,
    speed: int,
    reports: tuple[Path, ...],
    state: Path | None,
    output: str,
) -> None:
    """Cause a fault, wait for its alert, do what the runbook says, and see it recover: on a service made for it.

    A steady load of streams asks it, a real Prometheus watches it, and nothing of it is left. Without NAME: which there
    are. Exit code 1: a drill did not pass.
    """
    from ..drill.catalogue import DRILLS

    if state is not None:
        raise UserError(_whose(state))
    if not names and not every:
        click.echo(render(list(_listed(DRILLS)), output))
        return
    wanted = _chosen(DRILLS, names)
    for path in reports:
        _check_report(path)
    findings = _carry_out(wanted, backend, speed, reports)
    click.echo(render(_sections(findings), output))
    if not all(one.passed for one in findings):
        context.exit(1)


def _whose(state: Path) -> str:
    """Why no drill runs there."""
    from ..controller.tenancy import tenants
    from .stored import stored_state, was_served

    here = "a drill breaks what it runs on, so it makes a service of its own: leave --state out"
    durable = stored_state(state).durable if was_served(state) else None
    if durable is None or durable.stack is None:
        return f"--state {state}: {here}"
    return f"--state {state}: stack {durable.stack.name} serves {counted(len(tenants(durable)), 'tenant')}; {here}"


def _chosen(drills: "Sequence[Drill]", names: Sequence[str]) -> "Sequence[Drill]":
    """All without names. Raises `UserError`."""
    from ..drill.catalogue import NOT_DRILLED

    known = {one.name: one for one in drills}
    for name in names:
        if name in NOT_DRILLED:
            raise UserError(f"{name} is not drilled: {NOT_DRILLED[name]}; the runbook tells what to do")
        if name not in known:
            raise UserError(f"no drill is named {name}{did_you_mean(name, known)}; `fs drill` lists them")
    return [known[name] for name in names] or list(drills)


def _check_report(path: Path) -> None:
    """Raises `UserError`."""
    if path.suffix not in (PAGE, DOCUMENT):
        raise UserError(f"--report {path}: its name must end in {PAGE} or {DOCUMENT}")
    check_writable(path)
    if path.suffix == PAGE:
        from ..drill.page import load_library

        load_library()


def _carry_out(wanted: "Sequence[Drill]", backend: str | None, speed: int, reports: Sequence[Path]) -> "list[Finding]":
    """Reports are written after each, so that half an hour is not lost with an interruption."""
    from ..drill.rehearsal import carry_out, plugins_for, remove_left_behind
    from ..drill.runbook import parse, read_text
    from ..host import Host

    host, sections = Host(), parse(read_text())
    choices = [plugins_for(one, host, backend) for one in wanted]
    findings = []
    with _ended_in_order():
        remove_left_behind(_say)
        for one, choice in zip(wanted, choices, strict=True):
            finding = carry_out(one, choice, sections, host, speed, _say)
            _say(f"{one.name}  {'passed' if finding.passed else f'failed: {finding.failed}'}")
            findings.append(finding)
            for path in reports:
                _write(path, findings)
    return findings


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM and a closed terminal take everything down, as Ctrl-C does; `nohup` is left its way."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(path: Path, findings: "Sequence[Finding]") -> None:
    from ..drill.document import document
    from ..drill.page import page

    make = page if path.suffix == PAGE else document
    path.write_text(make(findings, datetime.now().date()), encoding="utf-8")


def _sections(findings: "Sequence[Finding]") -> list[Section]:
    from ..drill.timeline import row

    shown = [
        Section(
            f"{one.name}: {one.title}",
            Shown(one, [{"seconds": f"{m.at_s:+.1f}", "what": m.kind, "which": m.what} for m in one.moments]),
        )
        for one in findings
    ]
    return [*shown, Section("drills", [row(one) for one in findings])]


def _listed(drills: "Sequence[Drill]") -> Iterator[Section]:
    from ..drill.catalogue import NOT_DRILLED

    yield Section("drills", [{"drill": one.name, "section": one.section, "fault": one.fault} for one in drills])
    yield Section("not drilled", [{"section": name, "why": why} for name, why in NOT_DRILLED.items()])


def _say(line: str) -> None:
    click.echo(f"{datetime.now():%H:%M:%S}  {line}", err=True)
