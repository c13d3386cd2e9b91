"""`fs doctor`: each missing thing, and the command that fixes it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from .options import file_option, state_dir, state_option
from .output import rendered

WARNING = "warning: "


@dataclass(frozen=True)
class Finding:
    what: str
    state: str  # "ok", what is wrong, or "warning: " and what is less than well
    fix: str


@click.command(short_help="What this machine lacks, and the command that fixes it")
@file_option
@state_option
@rendered
def doctor(file: Path, state: Path | None) -> tuple[Finding, ...]:
    """Load every plugin by itself and, where there is an fs.yaml, check what its stack needs.

    The exit code is 1 where something is missing; a warning is no such thing.
    """
    findings = (*look_at_installation(), *look_at_stack(file, state))
    if any(finding.state != "ok" and not finding.state.startswith(WARNING) for finding in findings):
        click.get_current_context().call_on_close(lambda: sys.exit(1))
    return findings


def look_at_installation() -> Iterator[Finding]:
    yield _python()
    yield from _plugins()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(f"Python {version}", "ok", "")


def _plugins() -> Iterator[Finding]:
    from ..host import Host, PluginError

    host = Host()
    for row in host.installed():
        what = f"{row.kind.replace('_', ' ')} {row.name}"
        try:
            if row.kind == "events":
                host.find(row.kind, row.name)
            else:
                host.load(row.kind, row.name)
            yield Finding(what, "ok", "")
        except PluginError as error:
            yield Finding(what, str(error), f"reinstall or remove it: pip install --force-reinstall {row.distribution}")


def look_at_stack(file: Path, state: Path | None) -> Iterator[Finding]:
    from ..errors import UserError
    from ..host import Host
    from ..stack import load_stack
    from .bringup import check_models, compile_problems, machine_problems
    from .stored import folder_or_scratch

    if not file.exists():
        return
    try:
        host = Host()
        stack = load_stack(file, host)
        with folder_or_scratch(state_dir(stack.name, state)) as place:
            check_models(file, stack, host, place)
            problems = (*compile_problems(stack, host, place), *machine_problems(stack, host, place))
    except UserError as error:
        for line in str(error).splitlines():
            yield Finding(str(file), line, "fs validate")
        return
    for problem in problems:
        message = f"{WARNING}{problem.message}" if problem.is_warning else problem.message
        yield Finding(f"{stack.name} ({file})", message, problem.fix)
    if not problems:
        yield Finding(f"{stack.name} ({file})", "ok", "")
