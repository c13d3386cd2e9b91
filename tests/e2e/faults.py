"""One fault under a steady load of streams: what the clients saw, what the ledger says, and when all was well again."""

import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from finsight_serve.controller.status import Status

from .load import Answer, Load
from .stand import Stand
from .waiting import wait_until

WORKERS, TOKENS = 8, 30
ROUNDS = 2  # of answers by every worker, before the fault and after the recovery
TRAFFIC_S = 60.0
LEDGER_S = 60.0

HEADER = ("fault", "requests", "failed before first byte", "truncated", "seconds to recovery", "note")


@dataclass(frozen=True, kw_only=True)
class Toll(ABC):
    """What the clients saw of their requests, and what the ledger says of the same ones."""

    answers: tuple[Answer, ...]
    rows: Mapping[str, tuple[str, str]] = field(repr=False)  # request id → (replica's address, outcome)

    @abstractmethod
    def line(self) -> tuple[str, ...]:
        """The figures, for the table at the end of the run."""

    def count(self, outcome: str) -> int:
        return sum(answer.outcome == outcome for answer in self.answers)

    @property
    def not_whole(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.outcome != "whole"]

    @property
    def counts(self) -> tuple[str, ...]:
        """Requests in all, failed, truncated."""
        return tuple(map(str, (len(self.answers), self.count("failed"), self.count("truncated"))))

    def explain(self) -> str:
        lines = [f"{a.outcome} {a.request_id} {self.rows.get(a.request_id)} {a.why}" for a in self.not_whole]
        return "\n".join([" | ".join(self.line()), *lines[:20]])


@dataclass(frozen=True, kw_only=True)
class Trial(Toll):
    fault: str
    recovery_s: float  # from the fault until nothing fails any more and `fs status` shows all replicas ready and well
    note: str = ""

    def line(self) -> tuple[str, ...]:
        return (self.fault, *self.counts, f"{self.recovery_s:.1f}", self.note)

    def assert_all_whole(self) -> None:
        assert not self.not_whole, self.explain()
        self.assert_ledger_agrees()

    def assert_only_lost_on(self, address: str, *, at_most: int) -> None:
        """Nothing failed before its first byte, and what was cut was cut by the replica at `address`."""
        assert self.count("failed") == 0, self.explain()
        assert len(self.not_whole) <= at_most, self.explain()
        assert {self.rows[answer.request_id][0] for answer in self.not_whole} <= {address}, self.explain()
        self.assert_ledger_agrees()

    def assert_ledger_agrees(self) -> None:
        wrong = {
            answer.request_id: self.rows[answer.request_id]
            for answer in self.answers
            if answer.outcome == "whole" and self.rows[answer.request_id][1] != "complete"
        }
        assert not wrong, f"whole for the client, but in the ledger {wrong}"


def try_fault(
    stand: Stand,
    fault: str,
    strike: Callable[[Load], None],
    is_mended: Callable[[Status], bool],
    *,
    replicas: int,
    tokens: int = TOKENS,
    deadline_s: float = 90.0,
    note: str = "",
) -> Trial:
    """Strikes while streams run. Raises `AssertionError` if it is not well again by the deadline."""
    wait_until(lambda: is_well(stand.live(), replicas), deadline_s, f"all is well before: {fault}")
    with stand.load(workers=WORKERS, tokens=tokens) as load:
        wait_for_traffic(load)
        struck_s = time.monotonic()
        strike(load)

        def well() -> float:
            status = stand.live()
            return time.monotonic() if status and is_well(status, replicas) and is_mended(status) else 0.0

        well_s = wait_until(well, deadline_s, f"all is well after: {fault}")
        wait_for_traffic(load)
    answers = tuple(load.answers)
    last_bad_s = max((answer.ended_s for answer in answers if answer.outcome != "whole"), default=0.0)
    recovery_s = max(well_s, last_bad_s) - struck_s
    return Trial(answers=answers, rows=rows_of(stand, answers), fault=fault, recovery_s=recovery_s, note=note)


def wait_for_traffic(load: Load, answers: int = ROUNDS * WORKERS) -> None:
    seen = load.count("whole")
    wait_until(lambda: load.count("whole") >= seen + answers, TRAFFIC_S, "whole answers come in")


def is_well(status: Status | None, replicas: int) -> bool:
    if status is None or status.load_balancer != "ok" or any(one.state != "ok" for one in status.backends):
        return False
    ready = [one for one in status.replicas if one.state == "ready"]
    unsettled = [one for one in status.replicas if one.state not in ("ready", "draining")]
    return len(ready) == replicas and not unsettled and all(one.health == "ok" for one in ready)


def is_gone(replica_id: str) -> Callable[[Status], bool]:
    """The replica no longer serves, whatever else is left of it."""
    return lambda status: all(one.id != replica_id or one.state == "draining" for one in status.replicas)


def rows_of(stand: Stand, answers: Iterable[Answer]) -> dict[str, tuple[str, str]]:
    """The ledger's, once there is one for each answer."""
    ids = {answer.request_id for answer in answers} - {""}
    return wait_until(lambda: ledger_rows(stand.state, ids), LEDGER_S, "the ledger has a row for every request")


def whole_ledger(state: Path) -> dict[str, dict[str, Any]]:
    """Every row, by request id."""
    with sqlite3.connect(f"file:{state / 'ledger.db'}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        found = {row["id"]: dict(row) for row in db.execute("SELECT * FROM request")}
    db.close()
    return found


def ledger_rows(state: Path, ids: Collection[str]) -> dict[str, tuple[str, str]] | None:
    """None until there is a row for every id."""
    found = {id: (row["replica"], row["outcome"]) for id, row in whole_ledger(state).items()}
    return found if set(ids) <= set(found) else None


def ray_daemon(stand: Stand, name: str) -> psutil.Process:
    """The local Ray node's own process of that name, as its supervisor wrote it down."""
    record = json.loads((stand.state / "backends" / "ray" / "cluster.json").read_text())
    (pid,) = [daemon["pid"] for daemon in record["daemons"] if daemon["name"] == name]
    return psutil.Process(pid)


def ray_answers(stand: Stand) -> bool:
    """Whether Ray Serve's REST can be asked: its own way through dashboard and GCS."""
    folder = stand.state / "backends" / "ray"
    port = json.loads((folder / "node.json").read_text())["dashboard_port"]
    headers = {"Authorization": f"Bearer {(folder / 'auth_token').read_text()}"}
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/serve/applications/", headers=headers, trust_env=False)
        return answer.is_success and bool(answer.json().get("applications"))
    except (httpx.HTTPError, ValueError):
        return False


def is_restarted(stand: Stand, name: str, old: psutil.Process) -> Callable[[Status], bool]:
    def restarted(_: Status) -> bool:
        try:
            return ray_daemon(stand, name) != old and ray_daemon(stand, name).is_running()
        except (ValueError, OSError, psutil.Error):
            return False

    return restarted
