"""What is known of a stack from its state folder alone, without a controller."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from ..controller.state import State
    from ..controller.status import Status
    from ..stack import Stack
    from ..store import Store


def stored_state(folder: Path) -> "State":
    """Raises `UserError` where nothing was served from this folder yet."""
    from ..controller.memory import recall

    with _opened(folder) as store:
        return recall(store)


def stored_owner(folder: Path) -> str:
    """The id that marks what belongs to this stack. Raises `UserError` where nothing was served yet."""
    with _opened(folder) as store:
        return store.owner()


def was_served(folder: Path) -> bool:
    from ..store.store import FILE_NAME

    return (folder / FILE_NAME).exists()


@contextmanager
def folder_or_scratch(folder: Path) -> Iterator[Path]:
    """The state folder if there is one; else one for the moment, so that looking makes none."""
    if was_served(folder):
        yield folder
    else:
        with TemporaryDirectory(prefix="fs-") as scratch:
            yield Path(scratch)


@contextmanager
def _opened(folder: Path) -> "Iterator[Store]":
    from ..store import Store

    if not was_served(folder):
        raise UserError(f"{folder}: nothing was served from this state folder yet; start with `fs serve`")
    store = Store(folder, read_only=True)
    try:
        yield store
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
        return describe(
            state,
            controller="not running",
            url="",
            ledger=ledger.totals(),
            events=store.events(last=50),
            ceilings={},
        )
    finally:
        ledger.close()
        store.close()
