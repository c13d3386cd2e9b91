"""What of a live object is ours: the fields that our field manager owns, as the API server keeps them. Pure.

Its `managedFields` say so in FieldsV1: "f:NAME" a field, "k:{KEYS}" the element of a list with those keys, "v:VALUE"
an element of a set, "." the thing itself; an empty entry owns its value as a whole.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .kinds import Json

FIELD_MANAGER = "finsight-serve"

Fields = Mapping[str, Any]


def owned(body: Json, manager: str = FIELD_MANAGER) -> Json:
    """The object with nothing but its name and what the manager applied, whatever it is now."""
    fields = applied_fields(body, manager)
    ours = reduced(body, fields) if fields else {}
    metadata = body["metadata"]
    names = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        **ours,
        "metadata": {**names, **ours.get("metadata", {})},
    }


def applied_fields(body: Json, manager: str = FIELD_MANAGER) -> Fields:
    """Empty where it applied nothing."""
    found: Json = {}
    for entry in body["metadata"].get("managedFields") or ():
        is_whole = entry.get("operation") == "Apply" and not entry.get("subresource")
        if is_whole and entry.get("manager") == manager:
            found = united(found, entry.get("fieldsV1") or {})
    return found


def reduced(value: Any, fields: Fields) -> Any:
    if not fields:
        return value
    if isinstance(value, dict):
        named = ((name[2:], part) for name, part in fields.items() if name.startswith("f:"))
        return {name: reduced(value[name], part) for name, part in named if name in value}
    if isinstance(value, list):
        return list(_elements(value, fields))
    return value  # a scalar, or what has changed its type since


def united(one: Fields, other: Fields) -> Json:
    return {name: united(one.get(name, {}), other.get(name, {})) for name in {**one, **other}}


def without(fields: Fields, taken: Fields) -> Json:
    """`fields` less those in `taken`; what has nothing left goes too."""
    left: Json = {}
    for name, part in fields.items():
        if name not in taken:
            left[name] = part
        elif part and taken[name]:
            rest = without(part, taken[name])
            if any(key != "." for key in rest):
                left[name] = rest
    return left


def _elements(values: list[Any], fields: Fields) -> Iterator[Any]:
    keyed = [(json.loads(name[2:]), part) for name, part in fields.items() if name.startswith("k:")]
    single = [json.loads(name[2:]) for name in fields if name.startswith("v:")]
    for value in values:
        if value in single:
            yield value
            continue
        for keys, part in keyed:
            if isinstance(value, dict) and all(value.get(key) == wanted for key, wanted in keys.items()):
                yield reduced(value, part)
                break
