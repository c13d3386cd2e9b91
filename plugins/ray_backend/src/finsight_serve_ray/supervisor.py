"""`python -m finsight_serve_ray.supervisor STATE_DIR`: keeps one local Ray node alive, and ends it on SIGTERM.

It outlives the controller. A dead GCS or dashboard is started again in place, which no replica notices; a dead raylet
took its replicas along, so then the whole node is. At most one runs per state folder (flock). One that was killed
leaves its node running, and the next one adopts it.
"""

import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

import psutil

from . import node
from .record import ClusterRecord, NodeRecord, cluster_path, lock_path, node_path, read, write

POLL_S = 0.5
START_TIMEOUT_S = 120.0
FIRST_BACKOFF_S, LAST_BACKOFF_S = 1.0, 30.0
LOCK_TRIES, LOCK_WAIT_S = 10, 0.1  # the plugin looks whether the lock is held by taking it for a moment
STABLE_S = 60.0  # a node that stood this long starts with the first backoff again

log = logging.getLogger("finsight_serve_ray.supervisor")


class Supervisor:
    def __init__(self, state_dir: Path, spec: NodeRecord) -> None:
        self.state_dir = state_dir
        self.spec = spec
        inherited = {name: value for name, value in os.environ.items() if name not in node.FOREIGN_SETTINGS}
        self.env = {**inherited, **node.environment(state_dir, spec.dashboard_metrics_port)}
        me = node.describe("supervisor", psutil.Process())
        before = read(ClusterRecord, cluster_path(state_dir))
        sessions = before.sessions if before else ()
        self.record = ClusterRecord(
            supervisor=me,
            sessions=(*(leader for leader in sessions if any(node.members([leader]))), me),
            daemons=before.daemons if before else (),
        )
        self.backoff_s = FIRST_BACKOFF_S
        self.restarted_s = 0.0

    def run(self) -> None:
        """For ever, until a signal raises `SystemExit`. Only that ends the node: what else fails leaves it serving."""
        try:
            if self.raylet_alive():
                log.info("adopted the running node")
                self.record = self.record.model_copy(update={"phase": "up"})
            self.save()
            while True:
                try:
                    self.mend()
                except OSError as error:  # a full disk, say
                    log.error("%s", error)
                time.sleep(POLL_S)
        except SystemExit:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            log.info("ending the node")
            node.stop(self.record.sessions)
            cluster_path(self.state_dir).unlink(missing_ok=True)
            raise

    def mend(self) -> None:
        """One look: whatever died is started again."""
        if self.record.phase == "up" and not self.raylet_alive():
            log.warning("the raylet is gone, and with it every replica")
            self.save(phase="starting")
        if self.record.phase != "up":
            self.start_node()
            return
        for daemon in self.record.daemons:
            if node.find(daemon) is None:
                self.pause()
                log.warning("%s (pid %d) is gone, starting it again", daemon.name, daemon.pid)
                started = node.restart(daemon, self.env)
                self.save(
                    daemons=tuple(started if other == daemon else other for other in self.record.daemons),
                    restarts=self.record.restarts + 1,
                )

    def start_node(self) -> None:
        node.stop(self.record.sessions)
        self.pause()
        log.info("starting a node")
        try:
            daemons = node.start(self.spec, self.env, START_TIMEOUT_S)
        except node.NodeError as error:
            log.error("%s", error)
            self.save(phase="failed", error=str(error), daemons=())
            return
        log.info("up: %s", ", ".join(f"{daemon.name} {daemon.pid}" for daemon in daemons))
        self.save(phase="up", error="", daemons=daemons, restarts=self.record.restarts + 1)

    def pause(self) -> None:
        """Before a start that follows another one closely, ever longer."""
        now_s = time.monotonic()
        if not self.restarted_s or now_s - self.restarted_s > STABLE_S:
            self.backoff_s = FIRST_BACKOFF_S
        else:
            time.sleep(self.backoff_s)
            self.backoff_s = min(2 * self.backoff_s, LAST_BACKOFF_S)
        self.restarted_s = time.monotonic()

    def raylet_alive(self) -> bool:
        return any(daemon.name == "raylet" and node.find(daemon) for daemon in self.record.daemons)

    def save(self, **changes: object) -> None:
        self.record = self.record.model_copy(update=changes)
        write(self.record, cluster_path(self.state_dir))


def lock(state_dir: Path) -> IO[str] | None:
    """The supervisor's lock, held until the returned file is closed; None if another supervisor holds it."""
    file = lock_path(state_dir).open("a")
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            time.sleep(LOCK_WAIT_S)
    file.close()
    return None


def main(argv: list[str]) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    state_dir = Path(argv[0]).resolve()
    held = lock(state_dir)
    if held is None:
        log.info("another supervisor keeps %s", state_dir)
        return 0
    with held:
        spec = read(NodeRecord, node_path(state_dir))
        if spec is None:
            log.error("%s is missing or unreadable", node_path(state_dir))
            return 1
        os.chdir(state_dir)  # not the caller's folder, which may vanish, and whose modules Python would import
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        Supervisor(state_dir, spec).run()
    return 0


def _end(number: int, frame: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
