"""pydantic's errors in the words of fs.yaml: what was found, what is allowed, the nearest right spelling."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from ..domain import FieldError
from .problem import Path

TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "dataclass_type": "a mapping",
}


def explain(error: ValidationError, schema: Mapping[str, Any], data: Any) -> Iterator[tuple[Path, str]]:
    """Path inside `data` and message of each error. `schema` is the model's JSON Schema: it knows what is allowed."""
    for detail in error.errors(include_url=False):
        kind, found = detail["type"], detail["input"]
        path = _real(detail["loc"], data)
        if kind == "missing" or kind.startswith("missing_"):
            yield (*path, detail["loc"][-1]), "is required, and missing"
        elif kind in ("extra_forbidden", "unexpected_keyword_argument"):
            yield path, f"unknown key{suggest(str(path[-1]), allowed_keys(schema, path[:-1]))}"
        elif kind in TYPES:
            yield path, f"must be {TYPES[kind]}, found {_found(found, schema, path)}"
        elif isinstance(cause := detail.get("ctx", {}).get("error"), FieldError):
            yield (*path, cause.field), cause.message
        elif kind == "value_error":
            yield path, f"{cause}{_unless_shown(str(cause), found, schema, path)}"
        else:
            message = detail["msg"].replace("Input should", "must", 1).replace(" should ", " must ")
            message = message.replace("at least 1 item after validation, not 0", "at least 1 item")
            near = _suggest_literal(found, detail.get("ctx", {}))
            yield path, f"{message}, found {_found(found, schema, path)}{near}"


def suggest(found: str, allowed: Sequence[str]) -> str:
    """ "; did you mean x?", or all that is allowed if nothing is near."""
    near = get_close_matches(found, allowed, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; allowed: {', '.join(allowed)}" if allowed else ""


def allowed_keys(schema: Mapping[str, Any], path: Path) -> list[str]:
    """The keys of the mapping at `path`, as the schema has them."""
    return [key for part in _at(schema, path) for key in part.get("properties", {})]


def _real(location: tuple[str | int, ...], data: Any) -> Path:
    """The part of pydantic's location that is a path in the data: it also names the members of unions."""
    path: list[str | int] = []
    for part in location:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    return tuple(path)


def _at(schema: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    parts = _unfold(schema, schema)
    for step in path:
        inner = [
            part["items"]
            if isinstance(step, int) and "items" in part
            else part.get("properties", {}).get(step, part.get("additionalProperties"))
            for part in parts
        ]
        parts = [found for part in inner if isinstance(part, dict) for found in _unfold(part, schema)]
    return parts


def _unfold(part: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The part with its references followed and its alternatives side by side."""
    if "$ref" in part:
        target = root.get("$defs", {}).get(part["$ref"].rsplit("/", 1)[-1], {})
        return _unfold(target, root)
    unions = [
        found for key in ("anyOf", "oneOf", "allOf") for member in part.get(key, ()) for found in _unfold(member, root)
    ]
    return [part, *unions]


def _found(value: Any, schema: Mapping[str, Any], path: Path) -> str:
    if any(part.get("writeOnly") for part in _at(schema, path)):
        return "something else (not shown: it is a secret)"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _unless_shown(message: str, value: Any, schema: Mapping[str, Any], path: Path) -> str:
    shown = "found" in message or isinstance(value, dict | list)
    return "" if shown else f", found {_found(value, schema, path)}"


def _suggest_literal(found: Any, context: Mapping[str, Any]) -> str:
    expected = str(context.get("expected", ""))
    near = get_close_matches(str(found), [word.strip(" '") for word in expected.replace(" or ", ",").split(",")], n=1)
    return f"; did you mean {near[0]}?" if expected and near else ""
