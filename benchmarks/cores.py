"""Who runs where: what is measured on cores of its own, the load and the upstream on the others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cores:
    """Empty sets: nothing is bound, since this system can't or has one core."""

    load: frozenset[int]
    routers: frozenset[int]

    @property
    def workers(self) -> int:
        """Worker processes or threads for each router: one per core that it may use."""
        return len(self.routers) or 1

    @property
    def described(self) -> str:
        if not self.routers:
            return "everything shares all cores"
        return f"each router on {len(self.routers)}, load generator and upstream on {len(self.load)} other"


def split_cores() -> Cores:
    if not hasattr(os, "sched_getaffinity"):
        return Cores(frozenset(), frozenset())
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    return Cores(frozenset(cores[:half]), frozenset(cores[half:] if half else []))


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """What is started inside inherits the binding; this process is free again afterwards."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def listeners(address: str) -> tuple[int, ...]:
    """Process ids of those who accept connections there, a server's master included; none where that is a secret."""
    port = int(address.rpartition(":")[2])
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS tells root alone
        return ()
    return tuple(
        {
            found.pid
            for found in connections
            if found.status == psutil.CONN_LISTEN and found.pid and found.laddr and found.laddr.port == port
        }
    )


def cpu_s(pids: tuple[int, ...]) -> float:
    """User and system time of the processes, all their threads included."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(time.user + time.system for time in times))
