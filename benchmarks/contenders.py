"""Everything that `benchmarks.tenants` compares, measured in turn, round after round."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import peers
from .cores import Cores, cpu_s, listeners, on
from .generator import OwnGenerator, Wrk
from .load import Target
from .machine import say
from .static import BODY, CHAT, MODEL, plain_nginx, static_upstream
from .tenanted import WEIGHTS, ours, route_table, tenants
from .tenants_figures import Cell

DIRECT, PLAIN, OURS, UNREAD = "no router", "plain nginx", "ours, everything on", "ours, nobody reads the ledger"
CONNECTIONS = (1, 32)
TENANTS = 100
SETTLE_S, SETTLE_STEP_S, IDLE_SHARE = 20.0, 1.2, 0.1  # a step is longer than the reader's own periods


@dataclass(frozen=True)
class Contender:
    target: Target
    settings: str
    pids: tuple[int, ...] = ()  # whose CPU time is its own
    helper_pids: tuple[int, ...] = ()  # of what works beside the request path


@contextmanager
def contenders(folder: Path, cores: Cores) -> Iterator[tuple[dict[str, Contender], dict[str, str]]]:
    """Yields those that run, and why each other does not."""
    absent: dict[str, str] = {}
    with ExitStack() as started:
        with on(cores.load):
            replicas = started.enter_context(static_upstream(folder / "upstream", workers=len(cores.load) or 1))
        found = {DIRECT: Contender(Target(DIRECT, replicas[0], MODEL, path=CHAT), "the static upstream itself")}
        with on(cores.routers):
            plain = started.enter_context(plain_nginx(replicas, folder / "plain", workers=cores.workers))
            found[PLAIN] = Contender(plain, "a worker for each core, proxy_pass only", listeners(plain.address))
            for name, read in ((OURS, True), (UNREAD, False)):
                say(f"starting {name}")
                part = folder / ("read" if read else "unread")
                found[name] = started.enter_context(_ours(name, replicas, part, cores, read=read))
            for peer in peers.ALL:
                say(f"starting {peer.name}")
                try:
                    target = started.enter_context(
                        peers.running(peer, replicas, folder / peer.name, workers=cores.workers)
                    )
                except peers.PeerError as error:
                    absent[peer.name] = str(error)
                    continue
                settings = f"{peer.version}, {peer.settings}"
                found[peer.name] = Contender(target, settings, listeners(target.address))
        yield found, absent


@contextmanager
def _ours(name: str, replicas: Sequence[str], folder: Path, cores: Cores, *, read: bool) -> Iterator[Contender]:
    of_table = tenants(TENANTS)
    table = route_table(of_table, replicas, weights=WEIGHTS)
    with ours(table, folder, workers=cores.workers, with_ledger=read) as running:
        reader = "copied into SQLite and the breakers' windows read from there each second" if read else "left alone"
        settings = (
            f"a worker for each core, {TENANTS} tenants with keys, three limits each and weights over 2 deployments,"
            f" tokens counted, ledger written, {reader}"
        )
        pids, helpers = listeners(running.address), (running.reader_pid,) if running.reader_pid else ()
        yield Contender(running.target(name, of_table), settings, pids, helpers)


def measure(
    found: Mapping[str, Contender], generator: Wrk | OwnGenerator, cores: Cores, *, rounds: int, cell_s: float
) -> dict[tuple[str, int], list[Cell]]:
    """(contender, connections) → a cell for each round."""
    cells: dict[tuple[str, int], list[Cell]] = {}
    with on(cores.load):
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for connections in CONNECTIONS:
                for name in rotated(list(found), number):
                    one = cell(found[name], generator, connections, cell_s)
                    cells.setdefault((name, connections), []).append(one)
    return cells


def rotated(names: Sequence[str], by: int) -> list[str]:
    """Each round begins with another, so that none always comes after the same one."""
    first = by % len(names)
    return [*names[first:], *names[:first]]


def cell(contender: Contender, generator: Wrk | OwnGenerator, connections: int, cell_s: float) -> Cell:
    before_s, helpers_before_s = cpu_s(contender.pids), cpu_s(contender.helper_pids)
    rate = generator.run(contender.target, BODY, connections=connections, duration_s=cell_s)
    requests = max(1.0, rate.requests_per_s * cell_s)
    used_s = cpu_s(contender.pids) - before_s
    _settle(contender.helper_pids)
    return Cell(rate, used_s / requests * 1e6, (cpu_s(contender.helper_pids) - helpers_before_s) / requests * 1e6)


def _settle(pids: tuple[int, ...]) -> None:
    """What was left to do beside the requests must not be done during the next one's turn."""
    end_s = time.monotonic() + SETTLE_S
    while pids and time.monotonic() < end_s:
        before_s = cpu_s(pids)
        time.sleep(SETTLE_STEP_S)  # an interval to measure over
        if cpu_s(pids) - before_s < IDLE_SHARE * SETTLE_STEP_S:
            return
