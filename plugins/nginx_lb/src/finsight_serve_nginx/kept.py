"""nginx's processes where a keeper runs them: another container, which shares the state folder and nothing else.

One line of JSON there and one back: `{"call": …, "arguments": […]}`, `{"result": …}`.
"""

import json
import signal
import socket
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finsight_serve.env import ProcessId

from .family import Family

SOCKET_NAME = "keeper.sock"
TIMEOUT_S = 3.0
START_TIME_SLACK_S = 2.0  # a clock tick, and a boot time that may be corrected


class Kept:
    """Raises `OSError` where the keeper is there and does not answer. One that is gone took its nginx along."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def is_there(self) -> bool:
        try:
            self._ask("find")
        except (FileNotFoundError, ConnectionError):
            return False
        except OSError:
            return True
        return True

    def find(self) -> Family:
        found = self._ask_or("find", None)
        return decode(found) if found else Family(None)

    def alive(self, process: ProcessId) -> bool:
        started_s = self.started_s(process.pid)
        return started_s is not None and abs(started_s - process.started_s) <= START_TIME_SLACK_S

    def started_s(self, pid: int) -> float | None:
        started_s: float | None = self._ask_or("started_s", None, pid)
        return started_s

    def accepting(self, pids: Iterable[int]) -> frozenset[int]:
        return frozenset(self._ask_or("accepting", [], sorted(pids)))

    def listeners(self, port: int) -> frozenset[int]:
        return frozenset(self._ask_or("listeners", [], port))

    def tell(self, process: ProcessId, what: signal.Signals) -> None:
        self._ask_or("tell", None, process.pid, process.started_s, what.name)

    def _ask_or(self, call: str, nobody: Any, *arguments: Any) -> Any:
        """`nobody`: the answer where there is no keeper."""
        try:
            return self._ask(call, *arguments)
        except (FileNotFoundError, ConnectionError):
            return nobody

    def _ask(self, call: str, *arguments: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(TIMEOUT_S)
            line.connect(str(self._state_dir / SOCKET_NAME))
            line.sendall(json.dumps({"call": call, "arguments": arguments}).encode() + b"\n")
            with line.makefile("rb") as answers:
                answer = answers.readline()
        if not answer:
            raise ConnectionResetError("the keeper hung up")
        return json.loads(answer)["result"]


def encode(found: Family) -> dict[str, Any]:
    return asdict(found)


def decode(found: dict[str, Any]) -> Family:
    master = found["master"]
    return Family(ProcessId(**master) if master else None, tuple(ProcessId(**one) for one in found["members"]))
