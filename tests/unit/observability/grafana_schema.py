"""Grafana's published schema, as its own SDK has it: what of a dashboard is unknown to it, or of another type."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from pydantic import ConfigDict, TypeAdapter, ValidationError

OF_THE_DATA_SOURCE = {"annotations.list.0." + name for name in ("titleFormat", "textFormat", "tagKeys")}
"""The schema leaves an annotation's further keys to the data source."""
ANYTHING = ConfigDict(arbitrary_types_allowed=True)


def problems(text: str) -> list[str]:
    """What the schema does not know is lost on the way through it."""
    register_default_plugins()
    given = json.loads(text)
    read = Dashboard.from_json(given)
    back = json.loads(json.dumps(read, cls=JSONEncoder))
    lost = [place for place in _lost(given, back, ()) if place not in OF_THE_DATA_SOURCE]
    return [*(f"{place}: unknown" for place in lost), *_mistyped(read, "")]


def _lost(given: Any, back: Any, at: tuple[str, ...]) -> Iterator[str]:
    if isinstance(given, Mapping) and isinstance(back, Mapping):
        for key, value in given.items():
            yield from _lost(value, back.get(key), (*at, key))
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for index, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from _lost(one, other, (*at, str(index)))
    elif given != back:
        yield ".".join(at)


def _mistyped(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from _mistyped(one, f"{at}[{index}]")
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _mistyped(one, f"{at}.{key}")
    elif hasattr(value, "to_json"):
        for name, hint in get_type_hints(type(value)).items():
            one = _read(hint, getattr(value, name))
            try:
                TypeAdapter(hint, config=ANYTHING).validate_python(one)
            except ValidationError as error:
                yield f"{at}.{name}: {error.errors()[0]['msg']}"
            yield from _mistyped(one, f"{at}.{name}")


def _read(hint: Any, value: Any) -> Any:
    """Some lists of objects the SDK passes through as they came."""
    kinds = [kind for part in get_args(hint) for kind in get_args(part) if hasattr(kind, "from_json")]
    if isinstance(value, list) and len(kinds) == 1 and all(isinstance(one, dict) for one in value):
        return [kinds[0].from_json(one) for one in value]
    return value
