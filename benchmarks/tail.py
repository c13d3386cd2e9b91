"""`python -m benchmarks.tail FOLDER LISTEN DATABASE`: what a controller does with nginx's ledger, until ended."""

import sys
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from finsight_serve.controller.tailing import copy_requests
from finsight_serve.host import Host, env_for
from finsight_serve.plugin import LoadBalancer
from finsight_serve.processes import SystemClock
from finsight_serve.store import Ledger

from .machine import say
from .tenanted import WEIGHTS

MEASURE_S = 1.0
WINDOW_S = 30.0
"""A controller's own period, and the breaker's default window."""


async def copy(load_balancer: LoadBalancer, ledger: Ledger) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(measure, ledger)
        await copy_requests(load_balancer, ledger, SystemClock(), on_current=lambda: None)


async def measure(ledger: Ledger) -> None:
    """What the breakers are fed with."""
    while True:
        await anyio.sleep(MEASURE_S)
        for deployment in WEIGHTS:
            await anyio.to_thread.run_sync(partial(ledger.window, deployment, time.time() - WINDOW_S))


def main(folder: Path, listen: str, database: Path) -> None:
    env = env_for(folder, owner="", progress=say)
    anyio.run(copy, Host().build("load_balancer", "nginx", {"listen": listen}, env), Ledger(database))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
