"""The load balancer's log, copied into the ledger."""

from collections.abc import Callable

import anyio

from ..env import Clock
from ..plugin import LoadBalancer, Request
from ..store import Ledger

BATCH_S = 0.5


async def copy_requests(
    load_balancer: LoadBalancer, ledger: Ledger, clock: Clock, on_current: Callable[[], None] = lambda: None
) -> None:
    """Goes on from the ledger's cursor until it is cancelled or the log can't be read.

    Calls `on_current` each time that the ledger holds all that the log has shown. Rows are written in batches: one
    transaction a request would be one disk flush a request.
    """
    batch: list[Request] = []

    async def flush() -> None:
        while True:
            await clock.sleep(BATCH_S)
            if batch:
                rows = batch.copy()
                await ledger.add(rows)
                del batch[: len(rows)]
            on_current()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flush)
        async for request in load_balancer.requests(ledger.cursor()):
            batch.append(request)
        tasks.cancel_scope.cancel()
    await ledger.add(batch)
    on_current()
