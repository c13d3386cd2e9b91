"""A Prometheus of the drill's own, on what `fs plan -o prometheus` wrote, made faster by one factor."""

import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx

from ..env import ProcessId
from ..errors import UserError
from ..observability.prometheus import CONFIG
from ..processes import SystemProcesses
from .family import MARK
from .speed import hasten
from .waiting import wait_until

PROGRAM = "prometheus"
READY_S, ENDED_S = 60.0, 10.0
ASKED_S = 5.0


def find() -> str:
    """Raises `UserError`."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise UserError(f"{PROGRAM} is not installed, whose alerts a drill waits for: `apt-get install {PROGRAM}`")
    return found


@dataclass(frozen=True)
class Alarm:
    """An alert as Prometheus has it now."""

    name: str
    section: str  # of the runbook, by its link
    state: str  # pending | firing


class Prometheus:
    """Runs in `folder`, on the files that are there."""

    def __init__(self, folder: Path, port: int, speed: int) -> None:
        self._folder, self._port, self._speed = folder, port, speed
        self._process: ProcessId | None = None
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=ASKED_S)

    def start(self) -> None:
        """Raises `UserError` where it does not get ready."""
        self.take_up()
        log = self._folder.parent / "logs" / f"{PROGRAM}.log"
        argv = [find(), f"--config.file={self._folder / CONFIG}", f"--storage.tsdb.path={self._folder.parent / 'tsdb'}"]
        argv += [f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn"]
        self._process = SystemProcesses().start(argv, env={MARK: str(self._folder.parent)}, log=log)
        wait_until(self._is_ready, READY_S, f"{PROGRAM} is ready; its log is {log}")

    def stop(self) -> None:
        if self._process is not None:
            anyio.run(partial(SystemProcesses().stop, self._process, grace_s=ENDED_S))

    def take_up(self) -> None:
        """What was written to the folder, made faster; a running one reads it anew."""
        names = [path.name for path in self._folder.glob("*.yml")]
        fresh = hasten({name: (self._folder / name).read_text(encoding="utf-8") for name in names}, self._speed)
        for name, text in fresh.items():
            (self._folder / name).write_text(text, encoding="utf-8")
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGHUP)

    def alarms(self) -> tuple[Alarm, ...]:
        """Pending and firing; none where it does not answer at once, since it is asked again and again."""
        found = self._ask("alerts").get("alerts", ())
        return tuple(
            Alarm(
                one["labels"]["alertname"],
                one["annotations"]["runbook_url"].rpartition("#")[2],
                one["state"],
            )
            for one in found
        )

    def has(self, metric: str) -> bool:
        return bool(self._ask("query", query=metric).get("result"))

    def is_calm(self) -> bool:
        """Whether each rule has been looked at, and there is no alert."""
        rules = [rule for group in self._ask("rules").get("groups", ()) for rule in group["rules"]]
        return bool(rules) and all(rule["lastEvaluation"] > "0002" for rule in rules) and not self.alarms()

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/-/ready").is_success
        except httpx.HTTPError:
            return False

    def _ask(self, path: str, **params: str) -> Mapping[str, Any]:
        try:
            answer = self._http.get(f"/api/v1/{path}", params=params)
            return dict(answer.json()["data"]) if answer.is_success else {}
        except (httpx.HTTPError, ValueError):
            return {}
