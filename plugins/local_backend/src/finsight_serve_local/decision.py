"""What to start, drain and forget next, from what is wanted and what runs. Pure."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .manifest import Wanted
from .record import Record

BACKOFF_MAX_S = 60.0
HEALTHY_AFTER_S = 600.0  # a replica that lived this long does not count as part of a crash loop


@dataclass(frozen=True)
class Start:
    port: int | None  # None: any free one
    attempt: int = 0


@dataclass(frozen=True)
class Step:
    start: tuple[Start, ...] = ()
    drain: tuple[str, ...] = ()  # ids
    forget: tuple[str, ...] = ()  # ids of dead ones
    settled: bool = True  # nothing is left to do or to wait for
    crashed: tuple[str, ...] = ()  # ids of successors that died while a predecessor still serves


def due_s(record: Record) -> float:
    """When a successor may start: 1, 2, 4 … 60 s after the start of the one that died."""
    return record.created_s + float(min(2**record.attempt, BACKOFF_MAX_S))


def decide(wanted: Wanted, records: Sequence[Record], alive: AbstractSet[str], now: float) -> Step:
    """The next step for one deployment; `records` are its own, oldest first.

    Missing replicas start, the newest surplus ones go, evicted ones go at once. Outdated ones are replaced one
    by one: a successor is ready before its predecessor goes, unless a fixed port forces the other order.
    """
    staying = [r for r in records if r.id in alive and not r.draining and r.id not in wanted.evict]
    leaving = [r for r in records if r.id in alive and (r.draining or r.id in wanted.evict)]
    dead = [r for r in records if r.id not in alive]

    current = sorted((r for r in staying if wanted.describes(r)), key=lambda r: not r.ready)
    kept, surplus = current[: wanted.replicas], current[wanted.replicas :]
    outdated = [r for r in staying if not wanted.describes(r)]
    serving = sum(r.ready for r in kept)

    crashed = [r for r in dead if wanted.describes(r) and not r.draining and r.id not in wanted.evict]
    crashed = crashed[::-1][: wanted.replicas - len(kept)]
    backing_off = [r for r in crashed if due_s(r) > now]
    replaceable = [r for r in crashed if due_s(r) <= now]

    missing = wanted.replicas - len(kept) - len(backing_off)
    room = wanted.replicas + 1 - len(kept) - len(outdated) if outdated else missing
    ports = _free_ports(wanted, missing, [*staying, *leaving])
    count = max(0, min(missing, room, len(ports)))
    attempts = [_next_attempt(r, now) for r in replaceable] + [0] * count

    drain = [r for r in leaving if not r.draining] + surplus + [r for r in outdated if not r.ready]
    replaced = [r for r in outdated if r.ready]
    drain += replaced[: max(0, len(replaced) + serving - wanted.replicas)]
    if missing and not ports and not leaving and not drain and serving == len(kept):
        drain = replaced[:1]  # its port is needed

    forget = {r.id for r in dead} - {r.id for r in backing_off} - {r.id for r in replaceable[count:]}
    return Step(
        start=tuple(Start(port, attempt) for port, attempt in zip(ports[:count], attempts, strict=False)),
        drain=tuple(r.id for r in drain),
        forget=tuple(sorted(forget)),
        settled=not (count or drain or leaving or outdated),
        crashed=tuple(r.id for r in crashed) if outdated else (),
    )


def _free_ports(wanted: Wanted, missing: int, running: Sequence[Record]) -> list[int | None]:
    if wanted.ports is None:
        return [None] * max(0, missing)
    return [port for port in wanted.ports if port not in {r.port for r in running}]


def _next_attempt(record: Record, now: float) -> int:
    return 0 if now - record.created_s > HEALTHY_AFTER_S else record.attempt + 1
