"""`python -m benchmarks.compose_faults [head|worker|nginx|controller|head-kept-away …] [-o json]`: what a fault costs.

For each fault docker-compose.scaling.yml is booted as a project of its own, so that none sees another's alerts, and a
main process is killed under a steady load. FS_ENGINE and the other variables of that file hold. Needs root, Docker and
its compose plugin; three minutes for each.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import click
import httpx
from tests.integration.compose.project import Project, booted, lacking

from finsight_serve.cli.output import Section, rendered
from finsight_serve.drill.load import Caller, Load, count

from .__main__ import describe
from .machine import say

CLIENTS = 4
SETTLE_S, WATCH_S, BACK_S = 20.0, 60.0, 240.0
POLL_S = 0.25


@dataclass(frozen=True)
class Fault:
    service: str
    kept_away_s: float = 0.0  # for so long it is killed again whenever Docker has started it


FAULTS = {
    "head": Fault("head"),
    "worker": Fault("worker"),
    "nginx": Fault("nginx"),
    "controller": Fault("controller"),
    "head-kept-away": Fault("head", kept_away_s=100.0),  # longer than RayDashboardHeartbeatLost waits
}


@dataclass
class Alerts:
    """By the seconds after the kill when each was first seen."""

    prometheus: str
    killed_s: float
    found: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        try:
            answer = httpx.get(f"http://{self.prometheus}:9090/api/v1/alerts", timeout=5, trust_env=False)
            answer.raise_for_status()
        except httpx.HTTPError:
            return
        for alert in answer.json()["data"]["alerts"]:
            name = f"{alert['labels']['alertname']} {alert['state']}"
            self.found.setdefault(name, round(time.time() - self.killed_s, 1))


def strike(on: Project, fault: Fault, load: Load) -> Mapping[str, object]:
    container, (prometheus,) = on.containers(fault.service)[0], on.containers("prometheus")
    before = on.inspect(container)
    alerts = Alerts(on.inspect(prometheus).address, time.time())
    on.kill(container)
    back_s = None
    while (passed_s := time.time() - alerts.killed_s) < BACK_S:
        alerts.look()
        if passed_s < fault.kept_away_s:
            on.kill(container)
        elif back_s is None:
            now = on.inspect(container)
            back_s = passed_s if now.health == "healthy" and now.started_at != before.started_at else None
        elif passed_s > back_s + WATCH_S:
            break
        time.sleep(POLL_S)
    counts = count(answer for answer in load.answers if answer.ended_s >= alerts.killed_s)
    return {
        "healthy_after_s": back_s and round(back_s, 1),
        "watched_s": round(passed_s),
        "streams": counts.requests,
        "failed": counts.failed,
        "truncated": counts.truncated,
        "last_bad_after_s": round(load.last_bad_s(alerts.killed_s) - alerts.killed_s, 1),
        "alerts": ", ".join(f"{alert} {at_s}" for alert, at_s in alerts.found.items()),
    }


def measure(name: str) -> Mapping[str, object]:
    say(name)
    with booted() as on:
        caller = Caller(on.url, on.make_key(), "sim-model" if on.engine == "sim" else "smollm2", CLIENTS)
        load = Load(caller).start()
        try:
            time.sleep(SETTLE_S)  # the load's beginning is not the fault's; Prometheus has looked once, at least
            return {"killed": name, **strike(on, FAULTS[name], load)}
        finally:
            load.stop()


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(FAULTS)))
@rendered
def main(names: tuple[str, ...]) -> object:
    """Kill NAMES (all unless given), each on services of its own."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    if missing := lacking():
        raise click.ClickException(missing)
    started_s = time.monotonic()
    title = f"killed under {CLIENTS} streams at a time, engine {os.environ.get('FS_ENGINE', 'vllm')}"
    rows = [measure(name) for name in names or FAULTS]
    return [Section(title, rows), Section("about this run", dict(describe(started_s)))]


if __name__ == "__main__":
    main()
