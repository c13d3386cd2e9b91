"""Waiting for the world instead of sleeping."""

from collections.abc import Callable
from inspect import isawaitable
from typing import Any

import anyio

from ..plugin import Actuator, Observed, Plan

POLL_S = 0.05
REAPPLY_S = 2.0


async def wait_for(condition: Callable[[], Any], deadline_s: float = 10.0, what: str = "") -> Any:
    """The condition's first true result; it may be async. Raises `AssertionError` after `deadline_s`."""
    with anyio.move_on_after(deadline_s):
        while True:
            found = condition()
            result = await found if isawaitable(found) else found
            if result:
                return result
            await anyio.sleep(POLL_S)
    raise AssertionError(f"{what or condition} did not come true within {deadline_s:g} s")


async def snapshot_when(
    plugin: Actuator[Any], condition: Callable[[Observed], bool], deadline_s: float = 10.0
) -> Observed:
    """The first snapshot for which the condition holds. Raises `AssertionError` naming the last one otherwise."""
    last: Observed | None = None
    with anyio.move_on_after(deadline_s):
        snapshots = plugin.observe()
        try:
            async for last in snapshots:
                if condition(last):
                    return last
        finally:
            close = getattr(snapshots, "aclose", None)
            if close:
                await close()
        raise AssertionError(f"observe() ended; its last snapshot: {last}")
    raise AssertionError(f"not seen within {deadline_s:g} s; last snapshot: {last}")


async def converge(
    plugin: Actuator[Any], plan: Plan, condition: Callable[[Observed], bool], deadline_s: float = 30.0
) -> Observed:
    """Applies until a snapshot fulfils the condition, again every few seconds, as the controller does."""
    last: Observed | None = None

    def note(snapshot: Observed) -> bool:
        nonlocal last
        last = snapshot
        return condition(snapshot)

    with anyio.move_on_after(deadline_s):
        while True:
            await plugin.apply(plan)
            try:
                return await snapshot_when(plugin, note, REAPPLY_S)
            except AssertionError:
                continue
    raise AssertionError(f"not reached within {deadline_s:g} s; last snapshot: {last}")
