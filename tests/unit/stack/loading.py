"""Text as fs.yaml, loaded or refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from finsight_serve.host import Host
from finsight_serve.stack import Stack, StackErrors, load_stack

from ..foreign import Foreign

SMALL = """\
name: small
deployments:
  - name: chat
    model: m
"""


def load(foreign: Foreign, text: str, backend: str | None = None, overrides: Mapping[str, Any] | None = None) -> Stack:
    file = foreign.folder.parent / "fs.yaml"
    file.write_text(text)
    return load_stack(file, Host(), backend=backend, overrides=overrides)


def errors(foreign: Foreign, text: str, backend: str | None = None, **overrides: Any) -> list[str]:
    """The lines, without the folder of the file."""
    with pytest.raises(StackErrors) as caught:
        load(foreign, text, backend, overrides)
    return str(caught.value).replace(f"{foreign.folder.parent}/", "").splitlines()
