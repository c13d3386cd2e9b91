"""Our nginx as the plugin renders it for many tenants, with what a controller does beside it."""

import hashlib
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import anyio

from finsight_serve.host import Host, env_for
from finsight_serve.plugin import Limits, LoadBalancer, Replica, Route, RouteTable
from finsight_serve.testing import find_free_port

from .load import Target
from .machine import process, say, wait_until_ready
from .static import CHAT, MODEL

WEIGHTS = {"blue": 90, "green": 10}
UNREACHED = Limits(max_ongoing_requests=1000, requests_per_s=1e6, tokens_per_minute=10**10)
KEYS_USED = 64
"""How many requests the load generator cycles through, over all tenants evenly: as many at each number of tenants."""


@dataclass(frozen=True)
class Tenant:
    name: str
    key: str
    limits: Limits = UNREACHED


def tenants(count: int) -> list[Tenant]:
    return [Tenant(f"tenant-{number:05}", secrets.token_urlsafe(32)) for number in range(count)]


def route_table(tenants: Sequence[Tenant], addresses: Sequence[str], *, weights: Mapping[str, int]) -> RouteTable:
    """Every deployment of `weights` has a replica at each address."""
    return RouteTable(
        routes=tuple(
            Route(tenant.name, (hashlib.sha256(tenant.key.encode()).hexdigest(),), weights, tenant.limits)
            for tenant in tenants
        ),
        replicas=tuple(
            Replica(f"{name}-{address}", name, address, "ready") for name in weights for address in addresses
        ),
        upstream_keys={name: secrets.token_urlsafe(32) for name in weights},
        version=1,
    )


@dataclass(frozen=True)
class Ours:
    load_balancer: LoadBalancer
    address: str
    reader_pid: int | None = None  # of who copies the ledger

    def target(self, name: str, tenants: Sequence[Tenant]) -> Target:
        step = max(1, len(tenants) // KEYS_USED)
        first, *rest = islice(cycle([tenant.key for tenant in tenants[::step][:KEYS_USED]]), KEYS_USED)
        return Target(name, self.address, MODEL, first, tuple(rest), CHAT)

    def apply(self, table: RouteTable) -> tuple[float, float]:
        """Seconds to render it, and from then to all workers following it: written, tested, taken up."""
        began_s = time.perf_counter()
        plan = self.load_balancer.compile(table)
        rendered_s = time.perf_counter()
        anyio.run(self.load_balancer.apply, plan)
        return rendered_s - began_s, time.perf_counter() - rendered_s


@contextmanager
def ours(table: RouteTable, folder: Path, *, workers: int, with_ledger: bool = True) -> Iterator[Ours]:
    """`folder`'s path must be short: a unix socket lies in it."""
    address = f"127.0.0.1:{find_free_port()}"
    options = {"listen": address, "workers": workers}
    load_balancer = Host().build("load_balancer", "nginx", options, env_for(folder, owner="", progress=say))
    running = Ours(load_balancer, address)
    try:
        running.apply(table)
        wait_until_ready(Target("nginx", address, MODEL), 10)
        if not with_ledger:
            yield running
            return
        database = folder / "database"
        database.mkdir()
        argv = [sys.executable, "-m", "benchmarks.tail", str(folder), address, str(database)]
        with process(argv, folder / "tail.log", talks=False) as reader:
            yield replace(running, reader_pid=reader.pid)
    finally:
        anyio.run(load_balancer.apply, load_balancer.compile(RouteTable()))
