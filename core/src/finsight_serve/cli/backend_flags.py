"""`--ray-address X` and the like: any option of any orchestrator, on the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


def parse_backend_flags(args: Sequence[str], orchestrators: Sequence[str]) -> Mapping[str, Any]:
    """`--NAME-OPTION VALUE` or `--NAME-OPTION=VALUE` into `{"backends.NAME.option": value}`.

    `orchestrators` are the installed ones' names. Values are read as in the file, so that numbers are numbers.
    Raises `click.UsageError` for anything else.
    """
    found: dict[str, Any] = {}
    rest = list(args)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        name = next((n for n in sorted(orchestrators, key=len, reverse=True) if flag.startswith(f"--{n}-")), None)
        if name is None:
            raise click.UsageError(f"no such option: {flag}")
        if not equals:
            if not rest:
                raise click.UsageError(f"option {flag} needs a value")
            value = rest.pop(0)
        option = flag.removeprefix(f"--{name}-").replace("-", "_")
        found[f"backends.{name}.{option}"] = read_value(value)
    return found


def read_value(value: str) -> Any:
    """As in the file, so that numbers are numbers."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(value)
