"""What goes between the CLI and a controller, and through which socket: without the server, which is slow to import."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import TypeAdapter

from .facts import Intent

SOCKET_NAME = "controller.sock"
LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes

_INTENTS: Mapping[str, type[Intent]] = {kind.__name__: kind for kind in get_args(Intent)}


@cache
def _adapter(kind: str) -> TypeAdapter[Intent]:
    """Made for those that come: each costs milliseconds. Raises `KeyError` for what is none."""
    return TypeAdapter(_INTENTS[kind])


def intent_json(fact: Intent) -> bytes:
    """With its kind: several kinds have the same fields."""
    kind = type(fact).__name__
    return json.dumps({"kind": kind, "fact": _adapter(kind).dump_python(fact, mode="json")}).encode()


def parse_intent(body: bytes) -> Intent:
    """Raises `ValueError` for what is none."""
    try:
        intent = json.loads(body)
        return _adapter(intent["kind"]).validate_python(intent["fact"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no intent: {error!r}") from error


def socket_path(folder: Path) -> Path:
    """Raises `ValueError` where the folder's path is too long for a unix socket."""
    path = folder / SOCKET_NAME
    if len(str(path).encode()) > LONGEST_SOCKET_PATH:
        raise ValueError(f"{folder}: the path is too long for a unix socket; choose a shorter --state DIR")
    return path
