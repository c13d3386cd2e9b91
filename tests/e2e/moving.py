"""A tenant moved between two backends under load, one thing killed on the way: what clients and ledger saw."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from finsight_serve.cli.stored import stored_state
from finsight_serve.domain.migration import OVER, Migration

from .faults import Toll, rows_of
from .load import Load
from .processes import listener
from .stand import Stand
from .waiting import wait_until

SOURCE, DESTINATION = "chat", "chat-local"
PHASE_S, OVER_S = 60.0, 180.0
POLL_S = 0.02
SHORT_TOKENS, LONG_TOKENS = 20, 200
SHORT_WORKERS, LONG_WORKERS = 8, 2

Strike = Callable[[Stand], "Loss"]


@dataclass(frozen=True)
class Loss:
    """What a fault may take with it: streams on one replica's address, or so many of whatever kind."""

    address: str = ""
    at_most: int = 0
    unknown: bool = False  # nobody saw how they ended: a killed worker of nginx


@dataclass(frozen=True, kw_only=True)
class Trial(Toll):
    fault: str
    phase: str
    outcome: str
    loss: Loss
    took_s: float  # from the fault to the migration's end

    def line(self) -> tuple[str, ...]:
        lost = f"{self.loss.at_most} allowed" if self.loss.at_most else ""
        return (self.fault, self.phase, self.outcome, *self.counts, f"{self.took_s:.1f}", lost)

    def assert_only_what_was_struck_is_lost(self) -> None:
        assert len(self.not_whole) <= self.loss.at_most, self.explain()
        for answer in self.not_whole:
            address, outcome = self.rows[answer.request_id] if answer.request_id else ("", "unknown")
            assert outcome == "unknown" if self.loss.unknown else address == self.loss.address, self.explain()
        # of a killed worker of nginx nobody knows how an answer ended, also where its last byte had just been passed on
        whole = ("complete", "unknown") if self.loss.unknown else ("complete",)
        agreeing = {"whole": whole, "failed": ("failed", "unknown"), "truncated": ("truncated", "unknown")}
        wrong = {
            a.request_id: (a.outcome, self.rows[a.request_id])
            for a in self.answers
            if a.request_id and self.rows[a.request_id][1] not in agreeing[a.outcome]
        }
        assert not wrong, f"the clients' ledger and ours differ: {wrong}"


HEADER = ("fault", "killed while", "migration", "requests", "failed", "truncated", "seconds to its end", "may be lost")


def migrate(stand: Stand, tenant: str, to: str, *options: str) -> str:
    """Begins it; its id."""
    (id,) = migrate_all(stand, (tenant,), to, *options)
    return id


def migrate_all(stand: Stand, tenants: Sequence[str], to: str, *options: str) -> list[str]:
    known = set(migrations(stand))
    done = stand.fs("migrate", *tenants, "--to", to, "--yes", "--detach", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return [id for id in migrations(stand) if id not in known]


def migrations(stand: Stand) -> Mapping[str, Migration]:
    """As stored, whether or not a controller runs."""
    return stored_state(stand.state).durable.migrations


def wait_over(stand: Stand, id: str, deadline_s: float = OVER_S) -> Migration:
    def over() -> Migration | None:
        migration = migrations(stand)[id]
        return migration if migration.phase in OVER else None

    try:
        return wait_until(over, deadline_s, f"migration {id} is over")
    except AssertionError as error:
        told = stand.fs("migrate", "explain", id)
        raise AssertionError(f"{error}\n{told.stdout}{told.stderr}") from None


def wait_phase(stand: Stand, id: str, phase: str) -> None:
    """`phase`: a phase's name, or "shifting 50" for one step of it. Raises `AssertionError` if it has passed."""

    def there() -> bool:
        migration = migrations(stand)[id]
        assert migration.phase not in OVER, f"{id} is over ({migration.phase}) and never was {phase}"
        step = migration.rules.steps[migration.step]
        return phase in (migration.phase, f"{migration.phase} {step}")

    wait_until(there, PHASE_S, f"migration {id} is {phase}", poll_s=POLL_S)


def try_phase(stand: Stand, fault: str, strike: Strike, phase: str, options: tuple[str, ...]) -> Trial:
    """Moves the tenant under load, strikes as soon as the phase has come, and waits for the migration's end."""
    with (
        stand.load(workers=SHORT_WORKERS, tokens=SHORT_TOKENS) as short,
        stand.load(workers=LONG_WORKERS, tokens=LONG_TOKENS) as long,
    ):
        wait_streaming(short, long)
        id = migrate(stand, "default", DESTINATION, *options)
        if phase == "rolling_back":
            wait_phase(stand, id, "shifting 50")
            wait_until(lambda: open_at(stand, DESTINATION), PHASE_S, "streams run at the destination", poll_s=POLL_S)
            assert stand.fs("migrate", "rollback", id, "--yes").returncode == 0
        wait_phase(stand, id, phase)
        struck_s = time.monotonic()
        loss = strike(stand)
        ended = wait_over(stand, id)
        took_s = time.monotonic() - struck_s
    answers = (*short.answers, *long.answers)
    outcome = {"done": "resumed", "rolled_back": "rolled back", "failed": "given up"}[ended.phase]
    return Trial(
        answers=answers,
        rows=rows_of(stand, answers),
        fault=fault,
        phase=phase.replace("_", " "),
        outcome=outcome,
        loss=loss,
        took_s=took_s,
    )


def wait_streaming(*loads: Load) -> None:
    wait_until(lambda: all(load.streaming for load in loads), PHASE_S, "streams run")


def open_at(stand: Stand, deployment: str) -> int:
    """Requests that the engines of a deployment have in work."""
    return int(sum(one.running or 0 for one in stand.seen().replicas if one.deployment == deployment))


def victim_of(stand: Stand, deployment: str) -> tuple[str, psutil.Process]:
    """Address and process of one of its ready replicas."""
    ready = [one for one in stand.seen().replicas if one.deployment == deployment and one.state == "ready"]
    address = sorted(one.address for one in ready)[0]
    return address, listener(int(address.rpartition(":")[2]))
