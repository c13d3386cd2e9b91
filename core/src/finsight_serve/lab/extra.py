"""The lab's optional libraries."""

from importlib import import_module
from typing import Any

from ..errors import UserError


def load(library: str) -> Any:
    """The library, imported. Raises `UserError` where it is not installed."""
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library.partition(".")[0]:
            raise
        raise UserError(f"{library} is not installed: pip install 'finsight-serve[lab]'") from None
