"""The one place that turns what commands return into text."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True)
class Section:
    """A titled part of a longer answer; in JSON its title is a key."""

    title: str
    rows: "Sequence[Any] | Mapping[str, Any] | Shown"  # rows of one shape, one thing's fields, or text


@dataclass(frozen=True)
class Shown:
    """What JSON gives as values and a table in words, wherever a value or a section's rows may stand."""

    value: Any
    table: Any


def rendered(function: Callable[..., Any]) -> Callable[..., None]:
    """For a command: adds `-o table|json` and prints what the function returns; nothing for None.

    It may return text, rows (dataclasses or mappings), one row, `Section`s, or `Shown`.
    """

    @click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
    @wraps(function)
    def command(*args: Any, output: str, **options: Any) -> None:
        value = function(*args, **options)
        if value is not None:
            click.echo(render(value, output))

    return command


def chosen_output() -> str:
    """What `-o` says, inside a command that is `rendered`: for what a table shows in other words than JSON."""
    return str(click.get_current_context().params["output"])


def render(value: Any, output: str) -> str:
    if output == "json":
        return json.dumps(_plain(value), indent=2, ensure_ascii=False)
    if isinstance(value, Shown):
        return render(value.table, output)
    if isinstance(value, str):
        return value
    if _is_sections(value):
        return "\n\n".join(f"{part.title}\n{_indent(_table(part.rows))}" for part in value)
    return _table(value)


def _is_sections(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(part, Section) for part in value)


def _plain(value: Any) -> Any:
    if isinstance(value, Shown):
        return _plain(value.value)
    if _is_sections(value):
        return {part.title: _plain(part.rows) for part in value}
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def _table(value: Any) -> str:
    from tabulate import tabulate

    plain = _plain(value.table if isinstance(value, Shown) else value)
    if isinstance(plain, str):
        return plain.rstrip("\n") or "none"
    if isinstance(plain, Mapping):
        pairs = [(key, _cell(item)) for key, item in plain.items()]
        return tabulate(pairs, tablefmt="plain", disable_numparse=True) if pairs else "none"
    rows = [{key: _cell(item) for key, item in row.items()} for row in plain]
    return tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True) if rows else "none"


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
