"""A policy as people write it, and what changed in it, line by line."""

import io
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

from ..domain import AutoscalingPolicy

SCALAR = re.compile(r"[^\s#,}]+")


def written(value: Any) -> Any:
    """The fields that say something else than their default, nested, as YAML has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            spec.name: written(getattr(value, spec.name))
            for spec in fields(value)
            if spec.default is MISSING or getattr(value, spec.name) != spec.default
        }
    if isinstance(value, tuple):
        return [written(item) for item in value]
    return int(value) if isinstance(value, float) and value == int(value) else value


def as_yaml(policy: AutoscalingPolicy) -> str:
    return _dump({"policy": written(policy)})


def diff(before: AutoscalingPolicy, after: AutoscalingPolicy, name: str) -> str:
    """Unified, of the fields as YAML."""
    return _unified(as_yaml(before), as_yaml(after), name)


def diff_file(file: Path, deployment: str, changes: Mapping[str, float]) -> str | None:
    """Unified, of the file as it stands and with these fields of the deployment's policy; other lines stay as they are.

    None where the file only names the policy (`module:NAME`), or holds none: it is changed where it is written.
    Raises `OSError`.
    """
    from ruamel.yaml import YAML

    text = file.read_text(encoding="utf-8")
    data = YAML().load(text)
    entry = next(entry for entry in data["deployments"] if deployment in ("", entry["name"]))
    lines = text.splitlines()
    edits = [_edit(entry.get("policy"), name, value) for name, value in changes.items()]
    for edit in sorted(filter(None, edits), key=lambda edit: edit.place, reverse=True):
        edit.make(lines)
    return None if None in edits else _unified(text, "\n".join(lines), str(file))


@dataclass(frozen=True)
class _Edit:
    """Of the scalar that stands at `place` (line, column): replaced, or followed by another field."""

    place: tuple[int, int, int]  # the last orders those at one place
    field: str
    value: str
    replaces: bool
    indent: int | None  # of a field on a line of its own; None within braces

    def make(self, lines: list[str]) -> None:
        at, column, _ = self.place
        found = SCALAR.match(lines[at], column)
        end = found.end() if found else len(lines[at])
        if self.replaces:
            lines[at] = lines[at][:column] + self.value + lines[at][end:]
        elif self.indent is None:
            lines[at] = f"{lines[at][:end]}, {self.field}: {self.value}{lines[at][end:]}"
        else:
            lines.insert(at + 1, f"{' ' * self.indent}{self.field}: {self.value}")


def _edit(policy: Any, name: str, value: float) -> _Edit | None:
    owner = policy
    *path, field = name.split(".")
    for part in path:
        owner = owner[int(part)] if isinstance(owner, list) and part.isdigit() else _get(owner, part)
    scalars = [key for key, own in owner.items() if not isinstance(own, dict | list)] if _is_own(owner) else []
    if not scalars:
        return None
    number = f"{value:g}"
    if field in owner:
        return _Edit((*owner.lc.value(field), 0), field, number, True, None)
    last = scalars[-1]
    indent = None if owner.fa.flow_style() else owner.lc.key(last)[1]
    return _Edit((*owner.lc.value(last), -1), field, number, False, indent)


def _is_own(owner: Any) -> bool:
    return isinstance(owner, dict) and "from" not in owner


def _get(owner: Any, part: str) -> Any:
    return owner.get(part) if isinstance(owner, dict) else None


def _unified(before: str, after: str, name: str) -> str:
    lines = unified_diff(before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    return "\n".join(lines)


def _dump(data: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()
