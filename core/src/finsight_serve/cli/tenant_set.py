"""`fs tenant set`: other limits for a tenant that was added."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..errors import UserError
from .options import file_option, state_option
from .tenant import TENANT_COMMANDS
from .tenant_intents import carry_out, check_known, limit_options, served


@click.command("set", short_help=TENANT_COMMANDS["set"])
@click.argument("name")
@limit_options
@file_option
@state_option
def tenant_set(name: str, file: Path, state: Path | None, **limits: Any) -> None:
    """Change limits of tenant NAME, which was added by `fs tenant add`; `none` lifts one, what is not given stays.

    Those of fs.yaml are changed there, and taken up by `fs apply`.
    """
    from ..controller.facts import TenantChanged
    from ..controller.tenancy import describe_limits, find_tenant
    from .intents import who

    source = click.get_current_context().get_parameter_source
    given = {field: limit for field, limit in limits.items() if source(field) is ParameterSource.COMMANDLINE}
    if not given:
        raise UserError("nothing to change: give --rps, --max-ongoing or --tokens-per-minute")
    folder, durable = served(file, state)
    check_known(durable, name)
    changed = replace(find_tenant(durable, name), **given)
    carry_out(folder, TenantChanged(changed, who()), f"Tenant {name}: {describe_limits(changed)}.")
