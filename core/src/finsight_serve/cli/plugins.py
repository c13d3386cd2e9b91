"""`fs plugins`: what is installed, and what one of them lacks and takes."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from .output import Section, rendered


@click.group(short_help="List plugins, show what one lacks and takes")
def plugins() -> None:
    """List plugins, show what one lacks and takes."""


@plugins.command("list", short_help="Every installed plugin, usable or not")
@rendered
def list_plugins() -> object:
    """Every installed plugin, usable or not. Imports none of them."""
    from ..host import Host

    return Host().installed()


@plugins.command("show", short_help="What a plugin lacks and why, and its options")
@click.argument("name")
@click.option("--kind", metavar="KIND", help="Needed where plugins of several kinds bear the name.")
@rendered
def show_plugin(name: str, kind: str | None) -> object:
    """What the plugin NAME lacks and why, and the options it takes."""
    from ..host import Host

    host = Host()
    row = _find(host, name, kind)
    facts = asdict(row)
    if row.kind == "events":
        host.events(_fail)
        return [Section("plugin", facts)]
    plugin = host.load(row.kind, row.name)
    lacks = [{"feature": feature.value, "why": why} for feature, why in plugin.lacks.items()]
    options = list(describe_options(plugin.Options.model_json_schema()))
    return [Section("plugin", facts), Section("lacks", lacks), Section("options", options)]


def describe_options(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Name, type, default and description of each option in a JSON Schema."""
    for name, part in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        yield {
            "name": name,
            "type": type_name(part),
            "default": "(required)" if required else part.get("default"),
            "description": " ".join(part.get("description", "").split()),
        }


def type_name(part: Mapping[str, Any]) -> str:
    """A JSON Schema type in a word or two: "integer or null", "fast | slow", "list of text"."""
    if "enum" in part or "const" in part:
        return " | ".join(map(str, part.get("enum", [part.get("const")])))
    if "anyOf" in part:
        return " or ".join(type_name(member) for member in part["anyOf"])
    if "$ref" in part:
        return str(part["$ref"].rsplit("/", 1)[-1])
    if part.get("type") == "array":
        return f"list of {type_name(part.get('items', {}))}"
    name = str(part.get("type", "any"))
    return {"string": "text", "object": "mapping"}.get(name, name)


def _find(host: Any, name: str, kind: str | None) -> Any:
    from ..errors import UserError, did_you_mean

    rows = [row for row in host.installed() if row.name == name and kind in (None, row.kind)]
    kinds = sorted({row.kind for row in rows})
    if len(kinds) > 1:
        raise UserError(f"{name} is the name of {len(kinds)} plugins: choose with --kind {'|'.join(kinds)}")
    if rows:
        return rows[0]
    names = sorted({row.name for row in host.installed() if kind in (None, row.kind)})
    of_kind = f" of the kind {kind}" if kind else ""
    near = did_you_mean(name, names)
    raise UserError(f"no plugin{of_kind} named {name}; installed: {', '.join(names) or 'none'}{near}")


def _fail(line: str) -> None:
    from ..errors import UserError

    raise UserError(line)
