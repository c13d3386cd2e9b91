"""`fs drill`: a section of the runbook carried out for real, on a service made for it."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ..domain.wording import counted
from ..errors import UserError, did_you_mean
from .main import COMMANDS
from .options import check_writable, file_option, named_state_dir, state_dir, state_option
from .output import Section, Shown, render

if TYPE_CHECKING:
    from ..drill.drill import Drill
    from ..drill.scratch import ScratchService
    from ..drill.service import Service
    from ..drill.timeline import Finding

PAGE, DOCUMENT = ".html", ".md"
FILE_NAME = "fs.yaml"


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
@click.option("--yes-on", metavar="STACK", help="On what FILE serves, in place of a service made for it: its name.")
@file_option
@state_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
@click.pass_context
def drill(
    context: click.Context,
    names: tuple[str, ...],
    every: bool,
    backend: str | None,
    speed: int,
    reports: tuple[Path, ...],
    yes_on: str | None,
    file: Path,
    state: Path | None,
    output: str,
) -> None:
    """Cause a fault, wait for its alert, do what the runbook says, and see it recover: on a service made for it.

    A steady load of streams asks it, a real Prometheus watches it, and nothing of it is left. Without NAME: which there
    are. With --yes-on, some can be carried out on a service that has tenants, whose requests may fail meanwhile.
    Exit code 1: a drill did not pass.
    """
    from ..drill.catalogue import DRILLS

    given = {name for name in ("file", "state") if context.get_parameter_source(name) == ParameterSource.COMMANDLINE}
    if given and yes_on is None:
        raise UserError(_whose(file, state))
    if not names and not every:
        click.echo(render(list(_listed(DRILLS)), output))
        return
    wanted = _chosen(DRILLS, names)
    for path in reports:
        _check_report(path)
    with _ended_in_order():
        if yes_on is None:
            findings = _carry_out(wanted, backend, speed, reports)
        else:
            findings = _carry_out_on(_checked(yes_on, names, backend), file, state, yes_on, speed, reports)
    click.echo(render(_sections(findings), output))
    if not all(one.passed for one in findings):
        context.exit(1)


def _whose(file: Path, state: Path | None) -> str:
    """Why no drill runs there. Raises `UserError`."""
    from ..controller.tenancy import tenants
    from .stored import stored_state, was_served

    folder = named_state_dir(file, state)
    durable = stored_state(folder).durable if was_served(folder) else None
    if durable is None or durable.stack is None:
        return f"{folder}: nothing is served from there; without --file and --state a drill makes a service of its own"
    name, served = durable.stack.name, counted(len(tenants(durable)), "tenant")
    return f"stack {name} serves {served}, and a drill breaks what it runs on: `--yes-on {name}` if that is meant"


def _chosen(drills: "Sequence[Drill[ScratchService]]", names: Sequence[str]) -> "Sequence[Drill[ScratchService]]":
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


def _checked(yes_on: str, names: Sequence[str], backend: str | None) -> "Sequence[Drill[Service]]":
    """Raises `UserError`."""
    from ..drill.catalogue import ON_A_SERVICE

    able = {one.name: one for one in ON_A_SERVICE}
    if not names or any(name not in able for name in names):
        raise UserError(f"--yes-on {yes_on}: of all drills it takes {', '.join(able)}; name which")
    if backend is not None:
        raise UserError(f"--backend {backend}: with --yes-on it is the backend of the stack's first deployment")
    return [able[name] for name in names]


def _carry_out(
    wanted: "Sequence[Drill[ScratchService]]", backend: str | None, speed: int, reports: Sequence[Path]
) -> "list[Finding]":
    from ..drill.rehearsal import carry_out, plugins_for
    from ..drill.runbook import parse, read_text
    from ..host import Host

    host, sections = Host(), parse(read_text())
    choices = [plugins_for(one, host, backend) for one in wanted]
    carried_out = (carry_out(*each, sections, host, speed, _say) for each in zip(wanted, choices, strict=True))
    return _told(carried_out, reports)


def _carry_out_on(
    wanted: "Sequence[Drill[Service]]",
    file: Path,
    state: Path | None,
    yes_on: str,
    speed: int,
    reports: Sequence[Path],
) -> "list[Finding]":
    """Raises `UserError`."""
    from ..drill.live import LiveService
    from ..drill.rehearsal import carry_out_on, check_on
    from ..drill.runbook import parse, read_text
    from ..host import Host
    from ..stack import load_stack
    from .stored import stored_state

    host, sections = Host(), parse(read_text())
    stack = load_stack(file, host)
    if stack.name != yes_on:
        raise UserError(f"--yes-on {yes_on}: {file} is stack {stack.name}")
    if file.name != FILE_NAME:
        raise UserError(f"{file}: its name must be {FILE_NAME}: the runbook's commands name no other")
    folder = state_dir(stack.name, state)
    durable = stored_state(folder).durable
    if stack != durable.stack:
        raise UserError(f"{file}: it is not what is in force, and a restart would take it up; `fs plan` shows why")
    for one in wanted:
        check_on(stack, one, host)
    carried_out = (
        carry_out_on(LiveService.of(stack, durable.served_models, file, folder, host), one, sections, speed, _say)
        for one in wanted
    )
    return _told(carried_out, reports)


def _told(carried_out: "Iterable[Finding]", reports: Sequence[Path]) -> "list[Finding]":
    """Reports are written after each, so that half an hour is not lost with an interruption."""
    from ..drill.rehearsal import remove_left_behind

    remove_left_behind(_say)
    findings = []
    for finding in carried_out:
        _say(f"{finding.name}  {'passed' if finding.passed else f'failed: {finding.failed}'}")
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


def _listed(drills: "Sequence[Drill[ScratchService]]") -> Iterator[Section]:
    from ..drill.catalogue import NOT_DRILLED

    yield Section("drills", [{"drill": one.name, "section": one.section, "fault": one.fault} for one in drills])
    yield Section("not drilled", [{"section": name, "why": why} for name, why in NOT_DRILLED.items()])


def _say(line: str) -> None:
    click.echo(f"{datetime.now():%H:%M:%S}  {line}", err=True)
