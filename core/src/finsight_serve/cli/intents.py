"""How a command gets done what it asks for: by the controller, or by itself where none runs."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..controller.facts import Intent


def who() -> str:
    """The person at the terminal, for the audit: also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def intend(folder: Path, fact: "Intent") -> bool:
    """Stored and, where a controller runs (True), acted on. Raises `UserError` if it is refused."""
    from ..controller.client import Client
    from ..controller.session import hold, record
    from ..processes import SystemClock

    if Client(folder).intend(fact):
        return True
    with hold(folder) as held:
        record(held, fact, SystemClock())
    return False
