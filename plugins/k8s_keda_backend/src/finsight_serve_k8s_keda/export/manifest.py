"""Objects as YAML text: the same object gives the same text. Pure."""

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from ..kinds import Json

WIDE = 2**30
"""So that queries, formulas and archives stay on one line."""
READ_OTHERWISE = re.compile(r"[0-9_.:+-]+|[yn]|yes|no|on|off", re.IGNORECASE)
"""Text that YAML 1.1, which Kubernetes' tools read, takes for a number, a time or a truth."""
BLOCK = re.compile(r"\S[^\r]*\n[^\r]*\S\n?")
"""Several lines that can stand in a file as they are."""


def to_yaml(value: object) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = WIDE
    yaml.representer.ignore_aliases = lambda _: True  # what stands in two places is written twice
    text = StringIO()
    yaml.dump(_readable(value), text)
    return text.getvalue()


def file_name(body: Json) -> str:
    """ "deployment-chat.yaml" """
    return f"{body['kind'].lower()}-{body['metadata']['name']}.yaml"


def _readable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, str):
        return _text(value)
    return value


def _text(value: str) -> str:
    shown: str = value
    if BLOCK.fullmatch(value) and not re.search(r"[^\S\n]\n", value):
        shown = LiteralScalarString(value)
    elif READ_OTHERWISE.fullmatch(value):
        shown = DoubleQuotedScalarString(value)
    return shown
