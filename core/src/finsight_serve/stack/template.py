"""A first fs.yaml, every setting with its description; what stands at its default is commented out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from ..errors import UserError
from ..host import Host, label
from ..plugin import Kind
from .defaults import candidates
from .model import BackendEntry, PluginEntry, entry_schema

POLICY = {
    "min_replicas": 1,
    "max_replicas": 4,
    "target_ongoing_requests": 10,
    "upscale_delay_s": 30,
    "downscale_delay_s": 300,
    "smoothing_factor": 0.5,
}
HEADER = """\
# What is served, to whom, and how it scales.
# `fs validate` checks this file, `fs plan` shows what it would change, `fs serve` runs it, `fs schema` is for editors.
# A line like `#key: value`, without a blank after the #, is a setting at its default.
"""
PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[A-Za-z][A-Za-z0-9_./-]*", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """A mapping to write: keys in `values` are set, all others of the schema are shown at their defaults."""

    schema: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)

    def lines(self, mark: str = "#") -> list[str]:
        """`mark` stands before settings at their defaults."""
        properties = self.schema.get("properties", {})
        lines: list[str] = []
        for key in dict.fromkeys([*self.values, *properties]):
            part = properties.get(key, {})
            lines += [f"# {line}" for line in wrap(" ".join(part.get("description", "").split()), 100)]
            lines += [f"# For example: {json.dumps(example)}" for example in part.get("examples", ())]
            lines += _setting(key, self.values[key]) if key in self.values else [f"{mark}{key}: {_default(part)}"]
        return lines


@dataclass(frozen=True)
class Item:
    """A list of one mapping."""

    block: Block

    def lines(self) -> list[str]:
        lines = self.block.lines()
        first = next(index for index, line in enumerate(lines) if not line.startswith("#"))
        return [f"- {line}" if index == first else f"  {line}" for index, line in enumerate(lines)]


def _setting(key: str, value: Any) -> list[str]:
    if isinstance(value, Block) and not value.values:
        # commented as a whole: a key with nothing but comments below it would be null
        inner = _indent(value.lines(mark=""))
        return [f"#{line}" for line in ([f"{key}:", *inner] if inner else [f"{key}: {{}}"])]
    if isinstance(value, Block | Item):
        return [f"{key}:", *_indent(value.lines())]
    return [f"{key}: {_scalar(value)}"]


def _default(part: Mapping[str, Any]) -> str:
    if "default" in part:
        return _scalar(part["default"])
    return {"object": "{}", "array": "[]"}.get(part.get("type", ""), "...")


def _indent(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def template(
    host: Host,
    *,
    backend: str | None = None,
    engine: str | None = None,
    model: str = "smollm2",
    name: str = "quickstart",
) -> str:
    """The text of an fs.yaml that validates. Imports the plugins it names, for their options' descriptions.

    Raises `UserError` where several are installed and none was chosen, `PluginError` for one that can't be used.
    """
    orchestrator = _choose(host, "orchestrator", backend, "--backend")
    engine = _choose(host, "engine", engine, "--engine")
    schema = entry_schema()
    parts = schema["$defs"]
    backend_block = _plugin(host, "orchestrator", orchestrator, BackendEntry.selector)
    deployment = Block(
        parts["DeploymentEntry"],
        {
            "name": "chat",
            "model": model,
            "engine": engine,
            "engine_options": _plugin(host, "engine", engine),
            "policy": Block(parts["AutoscalingPolicy"], POLICY),
        },
    )
    tenant = Block(parts["TenantEntry"], {"name": "default", "deployment": "chat"})
    values = {
        "name": name,
        "backend": orchestrator,
        "backends": Block({}, {orchestrator: backend_block}),
        "load_balancer": _plugin(host, "load_balancer", _choose(host, "load_balancer"), PluginEntry.selector),
        "probe": _plugin(host, "health_probe", _choose(host, "health_probe"), PluginEntry.selector),
        "health": Block(parts["HealthRules"]),
        "breaker": Block(parts["BreakerRules"]),
        "metrics": Block(parts["MetricsEntry"]),
        "deployments": Item(deployment),
        "tenants": Item(tenant),
    }
    known = schema["properties"]
    sections = (Block({"properties": {key: known[key]}}, {key: values[key]} if key in values else {}) for key in known)
    return HEADER + "".join("\n" + "\n".join(section.lines()) + "\n" for section in sections)


def _choose(host: Host, kind: Kind, given: str | None = None, option: str = "") -> str:
    """The given one, or the only one. Of several that no option chooses among, the first, to be changed in the file."""
    names = candidates(host, kind)
    if given is not None:
        return host.find(kind, given).name
    if not names:
        raise UserError(f"no {label(kind)} is installed; `fs plugins list` shows what is")
    if len(names) > 1 and option:
        raise UserError(
            f"several plugins of the kind {label(kind)} are installed: choose with {option} {'|'.join(names)}"
        )
    return names[0]


def _plugin(host: Host, kind: Kind, name: str, selector: str | None = None) -> Block:
    return Block(host.load(kind, name).Options.model_json_schema(), {selector: name} if selector else {})


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
