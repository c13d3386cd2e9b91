"""`python -m finsight_serve_nginx.keeper STATE_DIR/load_balancer`: nginx as the main process of a container of its own.

It waits for a configuration, runs nginx on the one in force, and ends when nginx does: whoever restarts the container
brings nginx back without the controller. Signals that a controller in another container can't send go through it.
SIGTERM lets open streams end.
"""

import contextlib
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import family
from .command import CURRENT, build_argv
from .kept import SOCKET_NAME, START_TIME_SLACK_S, encode

POLL_S = 0.1
FOLDERS = ("logs", "temp", "ledger")
SIGNALS = frozenset(["SIGHUP", "SIGUSR1", "SIGQUIT", "SIGTERM", "SIGKILL"])


class Keeper:
    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._nginx: subprocess.Popen[bytes] | None = None
        self._ending = False

    def run(self) -> int:
        """The exit code of nginx; 0 where it was told to end, as far as there was one."""
        while not self._ending and not (self._state_dir / CURRENT).exists():
            time.sleep(POLL_S)
        if self._ending:
            return 0
        for folder in FOLDERS:
            (self._state_dir / folder).mkdir(mode=0o700, exist_ok=True)
        # a killed nginx leaves its socket, and does not start over it
        (self._state_dir / "control.sock").unlink(missing_ok=True)
        argv = build_argv(self._state_dir, None, CURRENT)
        self._nginx = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        if self._ending:  # told so meanwhile
            self.end()
        code = self._nginx.wait()
        return code if code >= 0 else 128 - code

    def end(self) -> None:
        self._ending = True
        if self._nginx is not None:
            with contextlib.suppress(ProcessLookupError):
                self._nginx.send_signal(signal.SIGQUIT)

    def answer(self, asked: Mapping[str, Any]) -> Any:
        """What `kept.Kept` asks. Raises `ValueError` for anything else."""
        calls: Mapping[str, Callable[..., Any]] = {
            "find": lambda: encode(family.find(self._state_dir)),
            "started_s": family.started_s,
            "accepting": lambda pids: sorted(family.accepting(pids)),
            "listeners": lambda port: sorted(family.listeners(port)),
            "tell": self._tell,
        }
        if asked["call"] not in calls:
            raise ValueError(f"no such call: {asked['call']}")
        return calls[asked["call"]](*asked["arguments"])

    def _tell(self, pid: int, started_s: float, name: str) -> None:
        """Only nginx's own processes, and only what nginx knows as an order."""
        if name not in SIGNALS:
            raise ValueError(f"no order of nginx's: {name}")
        for member in family.find(self._state_dir).members:
            if member.pid == pid and abs(member.started_s - started_s) <= START_TIME_SLACK_S:
                family.tell(member, signal.Signals[name])


class _Line(socketserver.StreamRequestHandler):
    timeout = 5.0

    def handle(self) -> None:
        keeper: Keeper = self.server.keeper  # type: ignore[attr-defined]
        try:
            result = keeper.answer(json.loads(self.rfile.readline()))
            self.wfile.write(json.dumps({"result": result}).encode() + b"\n")
        except (ValueError, KeyError, TypeError, OSError):
            return  # it hangs up on what it doesn't understand


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main(argv: list[str]) -> int:
    os.umask(0o077)
    state_dir = Path(argv[0]).absolute()
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keeper = Keeper(state_dir)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: keeper.end())
    path = state_dir / SOCKET_NAME
    path.unlink(missing_ok=True)
    with _Server(str(path), _Line) as server:
        server.keeper = keeper  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return keeper.run()
        except ValueError as error:
            print(f"keeper: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
