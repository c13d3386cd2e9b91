"""The one error of the plugin host."""

import traceback
from pathlib import PurePath

from ..errors import UserError
from ..plugin import Kind


class PluginError(UserError):
    """A plugin that can't be used, and why, in one line."""

    def __init__(self, kind: Kind, name: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name


def describe(error: BaseException) -> str:
    """Type, first line and place of an exception that a plugin raised: "ImportError: no x (/lib/acme.py:3)"."""
    text = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    place = _place(error)
    return f"{what} ({place})" if place else what


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    files = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    frames = [(file, line) for file, line in files if not _is_machinery(file)]
    return f"{frames[-1][0]}:{frames[-1][1]}" if frames else ""


def _is_machinery(file: str) -> bool:
    """What imports plugins: a frame in there says nothing about the plugin."""
    return file.startswith("<frozen") or bool({"importlib", "stevedore"} & set(PurePath(file).parts))
