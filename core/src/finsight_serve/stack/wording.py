"""pydantic's errors in the words of fs.yaml: what was found, what is allowed, the nearest right spelling."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..domain import FieldError
from ..errors import did_you_mean
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
    details = error.errors(include_url=False)
    places = [_real(detail["loc"], data) for detail in details]
    unions: dict[Path, list[ErrorDetails]] = {}  # of a union each member complains by itself
    for detail, path in zip(details, places, strict=True):
        if _is_type(detail):
            unions.setdefault(path, []).append(detail)
        else:
            yield from _explain_one(detail, path, schema)
    for path, members in unions.items():
        if len(members) > 1:
            yield path, _explain_union(members, schema, path)
        else:
            yield from _explain_one(members[0], path, schema)


def field_path(field: str) -> Path:
    """A `FieldError`'s field as a path: "schedule.0.calendar" has an index in it, "" is the value itself."""
    return tuple(int(part) if part.isdigit() else part for part in field.split(".") if part)


def _is_type(detail: ErrorDetails) -> bool:
    return detail["type"] in TYPES or detail["type"] == "literal_error"


def _explain_union(members: Sequence[ErrorDetails], schema: Mapping[str, Any], path: Path) -> str:
    words = [word for member in members for word in _expected(member)]
    types = [TYPES[member["type"]] for member in members if member["type"] in TYPES]
    *first, last = dict.fromkeys([*words, *types])
    wanted = f"{', '.join(first)} or {last}" if first else last
    found = members[0]["input"]
    return f"must be {wanted}, found {_found(found, schema, path)}{did_you_mean(str(found), words)}"


def _expected(detail: ErrorDetails) -> list[str]:
    """The words that a literal allows."""
    return re.findall("'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))


def _explain_one(detail: ErrorDetails, path: Path, schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    kind, found = detail["type"], detail["input"]
    if kind == "missing" or kind.startswith("missing_"):
        yield (*path, detail["loc"][-1]), "is required, and missing"
    elif kind in ("extra_forbidden", "unexpected_keyword_argument"):
        yield path, f"unknown key{suggest(str(path[-1]), allowed_keys(schema, path[:-1]))}"
    elif kind in TYPES:
        yield path, f"must be {TYPES[kind]}, found {_found(found, schema, path)}"
    elif isinstance(cause := detail.get("ctx", {}).get("error"), FieldError):
        yield (*path, *field_path(cause.field)), cause.message
    elif kind == "value_error":
        yield path, f"{cause}{_unless_shown(str(cause), found, schema, path)}"
    else:
        message = detail["msg"].replace("Input should", "must", 1).replace(" should ", " must ")
        message = message.replace("at least 1 item after validation, not 0", "at least 1 item")
        yield path, f"{message}, found {_found(found, schema, path)}{did_you_mean(str(found), _expected(detail))}"


def suggest(found: str, allowed: Sequence[str]) -> str:
    """ "; did you mean x?", or all that is allowed if nothing is near."""
    return did_you_mean(found, allowed) or (f"; allowed: {', '.join(allowed)}" if allowed else "")


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
