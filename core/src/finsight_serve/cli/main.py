"""The `fs` group. It imports nothing but click: the other modules are imported when their command runs."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from .. import __version__
from ..errors import UserError, cause, did_you_mean

COMMANDS: Mapping[str, str] = {  # module of this package, holding the command of the same name → its short help
    "init": "Write a commented fs.yaml",
    "validate": "Check fs.yaml, plugins' options and models",
    "schema": "Print the JSON Schema of fs.yaml",
    "plan": "Show what would change, before anything does",
    "apply": "Change policies, health, breaker rules, limits of what runs",
    "import": "Take over what was set up by other means",
    "serve": "Bring a stack up and keep it running",
    "status": "Deployments, replicas, load, health, routes, recent events",
    "ui": "The stack as a live page in the browser, on loopback",
    "logs": "Logs of the controller, the load balancer and the replicas",
    "down": "Drain, then remove everything that the stack runs",
    "doctor": "What this machine lacks, and the command that fixes it",
    "plugins": "List plugins, show what one lacks and takes",
    "conformance": "Check a plugin against the contract, and report it",
    "policy": "Explain, compile, check and tune autoscaling policies",
    "simulate": "Run a policy over recorded load, without starting anything",
    "trace": "Record load for `fs simulate`",
    "bench": "Measure what one replica can do",
    "tenant": "Tenants and their API keys",
    "route": "Where tenants' requests go, why, and since when",
    "migrate": "Move tenants between deployments and backends, with proof",
    "ledger": "What became of every request: counts, proofs, export",
    "audit": "Who changed what, from what to what, and when",
    "state": "Back the state up, or put a backup back",
    "drill": "Carry out the runbook for real, on a scratch service",
    "support-bundle": "What a bug report needs, in one file, secrets removed",
}


class LazyGroup(click.Group):
    """Lists its commands without importing them, and turns errors into lines and exit codes.

    `listing`: name → short help; the command `name` is in the module `prefix + name` of this package, as an object of
    the module's name; `import_` for a name that Python keeps for itself, and `_` for each hyphen.
    """

    def __init__(self, *args: Any, listing: Mapping[str, str], prefix: str = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._listing, self._prefix = listing, prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._listing)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._listing:
            return None
        module = self._prefix + cmd_name.replace("-", "_") + "_" * iskeyword(cmd_name)
        command: click.Command = getattr(import_module(f".{module}", __package__), module)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._listing.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._listing and not args[0].startswith("-"):
            ctx.fail(f"no command named {args[0]}{did_you_mean(args[0], self._listing)}")
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, False, **extra)
        except Exception as raised:
            error = cause(raised)
            if os.environ.get("FS_DEBUG") == "1":
                import traceback

                traceback.print_exc()
            for line in _lines(error):
                click.echo(f"fs: {line}" if line else "", err=True)
            _drop_what_can_not_be_written()
            sys.exit(_exit_code(error))
        sys.exit(code if isinstance(code, int) else 0)


def _drop_what_can_not_be_written() -> None:
    """Else the interpreter tries it again at its end, and that failure becomes the exit code."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lines(error: BaseException) -> Iterator[str]:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
    elif isinstance(error, click.ClickException):
        yield from error.format_message().splitlines()
        if isinstance(error, click.UsageError) and error.ctx:
            yield f"try: {error.ctx.command_path} --help"
    elif isinstance(error, UserError):
        yield from str(error).splitlines()
    elif isinstance(error, OSError) and error.strerror:
        yield f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif isinstance(error, click.Abort):
        yield "interrupted"
    else:
        first = str(error).partition("\n")[0]
        yield f"internal error: {type(error).__name__}: {first} (FS_DEBUG=1 shows where)"


def _exit_code(error: BaseException) -> int:
    if isinstance(error, click.Abort):
        return 130  # as a shell reports a command that Ctrl-C ended
    if isinstance(error, click.ClickException):
        return error.exit_code
    return 2 if isinstance(error, UserError | OSError) else 1


@click.group(cls=LazyGroup, listing=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fs")
def cli() -> None:
    """Serve language models across orchestrators: one file, one command, one URL."""


def main() -> None:
    cli(prog_name="fs")
