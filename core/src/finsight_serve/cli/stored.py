"""What is known of a stack from its state folder alone, without a controller."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from ..controller.state import State
    from ..controller.status import Status
    from ..stack import Stack


def stored_state(folder: Path) -> "State":
    """Raises `UserError` where nothing was served from this folder yet."""
    from ..controller.memory import recall
    from ..store import Store
    from ..store.store import FILE_NAME

    if not (folder / FILE_NAME).exists():
        raise UserError(f"{folder}: nothing was served from this state folder yet; start with `fs serve`")
    store = Store(folder, read_only=True)
    try:
        return recall(store)
    finally:
        store.close()


def stored_stack(folder: Path) -> "Stack":
    """Raises `UserError`."""
    stack = stored_state(folder).durable.stack
    if stack is None:
        raise UserError(f"{folder}: nothing was served from this state folder yet; start with `fs serve`")
    return stack


def stored_status(folder: Path) -> "Status":
    """What the last controller left. Raises `UserError`."""
    from ..controller.status import describe
    from ..store import Ledger, Store

    state = stored_state(folder)
    store, ledger = Store(folder, read_only=True), Ledger(folder, read_only=True)
    try:
        return describe(state, controller="not running", url="", ledger=ledger.totals(), events=store.events(last=50))
    finally:
        ledger.close()
        store.close()
