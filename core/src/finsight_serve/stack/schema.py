"""The JSON Schema of fs.yaml with the installed plugins' options in it, so that editors complete and check them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from ..host import Host, PluginError
from ..plugin import Kind
from .model import BackendEntry, PluginEntry, entry_schema

DOMAIN = (
    "AutoscalingPolicy",
    "BreakerRules",
    "CronHours",
    "HealthRules",
    "ServiceLevel",
    "TradingHours",
    "WeeklyHours",
    "Window",
)
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(host: Host, report: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Imports every plugin that brings options. One that can't be loaded is left out and named to `report`."""
    root = entry_schema()
    definitions: dict[str, Any] = root["$defs"]
    for name in DOMAIN:
        del definitions[name]["description"]  # written for readers of the code
    stack = root["properties"]

    selector = BackendEntry.selector
    orchestrators = _options(host, "orchestrator", definitions, report, selector)
    backend = _selected(definitions.pop(BackendEntry.__name__), selector, orchestrators)
    implied = {  # a backend that bears its orchestrator's name need not name it again
        name: {**backend, "if": {"required": [selector]}, "else": {"$ref": ref}} for name, ref in orchestrators.items()
    }
    (pattern,) = stack["backends"].pop("patternProperties")
    stack["backends"] |= {
        "propertyNames": {"pattern": pattern},
        "properties": implied,
        "additionalProperties": backend,
    }

    singles: dict[Kind, tuple[str, ...]] = {"load_balancer": ("load_balancer", "edge"), "health_probe": ("probe",)}
    for kind, keys in singles.items():
        options = _options(host, kind, definitions, report, PluginEntry.selector)
        inline = _selected(definitions[PluginEntry.__name__], PluginEntry.selector, options)
        for key in keys:
            stack[key]["anyOf"] = [{"enum": sorted(options)}, inline, {"type": "null"}]
    del definitions[PluginEntry.__name__]

    engines = _options(host, "engine", definitions, report)
    deployment = definitions["DeploymentEntry"]
    deployment["properties"]["engine"]["anyOf"] = [{"enum": sorted(engines)}, {"type": "null"}]
    deployment["allOf"] = [
        _when("engine", name, {"properties": {"engine_options": {"$ref": ref}}}, is_default=len(engines) == 1)
        for name, ref in engines.items()
    ]
    return {"$schema": DIALECT, **root, "title": "fs.yaml"}


def _options(
    host: Host, kind: Kind, definitions: dict[str, Any], report: Callable[[str], None], selector: str = ""
) -> dict[str, str]:
    """Puts every plugin's options into `definitions`, `selector` as one more key; returns name → reference."""
    references = {}
    for name in host.names(kind):
        try:
            model: type[BaseModel] = host.load(kind, name).Options
        except PluginError as error:
            report(str(error))
            continue
        key = f"{kind}.{name}"
        found = model.model_json_schema(ref_template=f"#/$defs/{key}.{{model}}")
        definitions.update({f"{key}.{inner}": part for inner, part in found.pop("$defs", {}).items()})
        own = {selector: {"const": name}} if selector else {}
        definitions[key] = {**found, "properties": {**own, **found.get("properties", {})}}
        references[name] = f"#/$defs/{key}"
    return references


def _selected(entry: Mapping[str, Any], selector: str, references: Mapping[str, str]) -> dict[str, Any]:
    """A mapping whose `selector` names a plugin, that plugin's options beside it."""
    names = {"enum": sorted(references), **_without(entry["properties"][selector], ("anyOf", "type"))}
    return {
        "type": "object",
        "properties": {selector: names},
        "required": list(entry.get("required", ())),
        "allOf": [_when(selector, name, {"$ref": ref}) for name, ref in references.items()],
    }


def _when(selector: str, name: str, then: Mapping[str, Any], *, is_default: bool = False) -> dict[str, Any]:
    named: dict[str, Any] = {"properties": {selector: {"const": name}}}
    return {"if": named if is_default else {**named, "required": [selector]}, "then": dict(then)}


def _without(part: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in keys}
