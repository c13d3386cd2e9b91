"""`python -m benchmarks.compose_faults [head|worker|nginx|controller|head-kept-away …] [-o json]`: what a fault costs.

Boots docker-compose.scaling.yml as a project of its own and kills one main process after the other under a steady load,
each by its process id on this machine, since `docker kill` would switch the restart policy off. FS_ENGINE and the other
variables of that file hold. Needs root, Docker and its compose plugin. Some two minutes for each.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import click
import httpx
from tests.integration.compose.project import Project, booted, lacking

from finsight_serve.cli.output import Section, rendered
from finsight_serve.drill.load import Caller, Load, count

from .__main__ import describe
from .machine import say

CLIENTS = 4
KEPT_AWAY_S = 100.0  # longer than RayDashboardHeartbeatLost waits
SETTLE_S, WATCH_S, BACK_S = 10.0, 60.0, 240.0
POLL_S = 0.25
FAULTS = {"head": 0.0, "worker": 0.0, "nginx": 0.0, "controller": 0.0, "head-kept-away": KEPT_AWAY_S}


def alerts(prometheus: str) -> set[str]:
    try:
        answer = httpx.get(f"http://{prometheus}:9090/api/v1/alerts", timeout=5, trust_env=False).json()
    except httpx.HTTPError:
        return set()
    return {f"{alert['labels']['alertname']} {alert['state']}" for alert in answer["data"]["alerts"]}


@dataclass
class Watched:
    """Alerts by the seconds after the kill when they were first seen; not those that were there before it."""

    prometheus: str
    before: set[str]
    killed_s: float
    found: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        for alert in alerts(self.prometheus) - self.before:
            self.found.setdefault(alert, round(time.monotonic() - self.killed_s, 1))


def strike(on: Project, name: str, load: Load) -> Mapping[str, object]:
    service, keep_away_s = name.partition("-")[0], FAULTS[name]
    container, prometheus = on.containers(service)[0], on.inspect(on.containers("prometheus")[0]).address
    time.sleep(SETTLE_S)  # the load's beginning is not the fault's
    before, since_s = on.inspect(container), time.time()
    watched, back_s = Watched(prometheus, alerts(prometheus), time.monotonic()), None
    os.kill(before.pid, signal.SIGKILL)
    while (passed_s := time.monotonic() - watched.killed_s) < BACK_S:
        watched.look()
        now = on.inspect(container)
        if passed_s < keep_away_s:
            if now.pid not in (0, before.pid):
                os.kill(now.pid, signal.SIGKILL)
        elif back_s is None and now.health == "healthy" and now.started_at != before.started_at:
            back_s = round(time.monotonic() - watched.killed_s, 1)
        if back_s is not None and passed_s > max(keep_away_s, back_s) + WATCH_S:
            break
        time.sleep(POLL_S)
    struck = [answer for answer in load.answers if answer.ended_s >= since_s]
    found = count(struck)
    return {
        "killed": name,
        "healthy_after_s": back_s,
        "watched_s": round(passed_s),
        "streams": found.requests,
        "failed": found.failed,
        "truncated": found.truncated,
        "last_bad_after_s": round(load.last_bad_s(since_s) - since_s, 1),
        "alerts": ", ".join(f"{alert} {at_s}" for alert, at_s in watched.found.items()),
    }


def measure(names: Sequence[str]) -> Iterator[Mapping[str, object]]:
    say("docker compose up")
    with booted() as on:
        caller = Caller(on.url, on.make_key(), "sim-model" if on.engine == "sim" else "smollm2", CLIENTS)
        for name in names:
            say(name)
            load = Load(caller).start()
            try:
                yield strike(on, name, load)
            finally:
                load.stop()


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(FAULTS)))
@rendered
def main(names: tuple[str, ...]) -> object:
    """Kill NAMES (all unless given), one after the other."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    started_s = time.monotonic()
    if missing := lacking():
        raise click.ClickException(missing)
    rows = list(measure(names or list(FAULTS)))
    title = f"killed under {CLIENTS} streams at a time, engine {os.environ.get('FS_ENGINE', 'vllm')}"
    return [
        Section(title, rows),
        Section("about this run", dict(describe(started_s))),
    ]


if __name__ == "__main__":
    main()
