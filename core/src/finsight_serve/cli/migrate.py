"""`fs migrate`: tenants moved between deployments, and so between backends, step by step."""

from collections.abc import Mapping

import click

from .main import LazyGroup

MIGRATE_COMMANDS: Mapping[str, str] = {  # as COMMANDS: in the modules migrate_start, …
    "start": "Move tenants to another deployment or backend; what `fs migrate TENANT` means",
    "status": "How far migrations are, with figures of each step",
    "list": "Migrations that run, and the last that are over",
    "explain": "What a migration does now, why, and what comes next",
    "pause": "Hold migrations where they are",
    "resume": "Let paused migrations go on",
    "rollback": "Give tenants their old weights back",
}


class TenantsFirst(LazyGroup):
    """A first word that is no command is a tenant, or an option, of `start`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*MIGRATE_COMMANDS, *ctx.help_option_names}:
            args = ["start", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=TenantsFirst,
    listing=MIGRATE_COMMANDS,
    prefix="migrate_",
    short_help="Move tenants between deployments and backends, with proof",
    options_metavar="",
    subcommand_metavar="TENANT... --to BACKEND|DEPLOYMENT [OPTIONS] | COMMAND [ARGS]...",
)
def migrate() -> None:
    """Move tenants to another deployment, wherever it runs: a share of their requests at a time, under limits.

    `fs migrate start --help` shows the options; `fs migrate start NAME …` is for a tenant named like a command.
    """
