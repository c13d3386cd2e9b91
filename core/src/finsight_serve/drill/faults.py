"""Faults that know no plugin: processes killed, stopped and started, files and ports taken away, limits set."""

import math
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import psutil

from ..observability.metrics import NEXT_CUT_OVER
from . import family
from .load import Caller, Load
from .scratch import ScratchService
from .service import Service
from .shape import MODEL, NOISY, SPARE, STEADY, Shape
from .waiting import DrillError, wait_until

SQUATTER = """
import socket, sys, time
taken, ends_s = socket.socket(), time.monotonic() + float(sys.argv[2])
taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
print("trying", flush=True)
while True:
    try:
        taken.bind(("127.0.0.1", int(sys.argv[1])))
        break
    except OSError:
        if time.monotonic() > ends_s:
            raise
taken.listen()
while True:
    taken.accept()[0].close()
"""
"""Takes a port as soon as it is free, and breaks every connection off."""
TAKEN_S = 20.0
GONE_S = 20.0
MINUTE_S, WINDOW_S = 60, 1800
OPENS_IN_S = 45.0
"""From when a policy is written to when its window opens: it has to be applied and scraped by then."""
SHORT_DAYS, LONG_DAYS = 1, 90
"""That a certificate has left: less than the alert wants, and more."""


def kill_controller(service: Service) -> None:
    kill(_controller(service))


def kill_a_replica(service: Service) -> None:
    ready = service.ready()
    if ready:
        kill(service.process_of(ready[0]))


def hang_replicas(service: Service) -> None:
    for replica in service.ready():
        service.process_of(replica).suspend()


def take_the_port(service: ScratchService) -> None:
    """The load balancer dies as a whole, and somebody else has its port before it is started again."""
    _, port = service.host_and_port
    argv = [sys.executable, "-c", SQUATTER, str(port), f"{TAKEN_S:g}"]
    squatter = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=service.folder, start_new_session=True
    )
    service.helpers.append(psutil.Process(squatter.pid))
    assert squatter.stdout is not None
    squatter.stdout.readline()  # it is trying

    def is_taken() -> bool:
        holders = family.listeners(port)
        if [one.pid for one in holders] == [squatter.pid]:
            return True
        for process in (one for holder in holders for one in family.with_kin(holder)):
            with suppress(psutil.Error):
                process.kill()
        return False

    wait_until(is_taken, TAKEN_S, "the port is taken")


def kill_head(service: Service) -> None:
    with suppress(DrillError):
        kill(service.head())


def forbid_writing(service: ScratchService) -> None:
    """The controller's files can't grow: what a full disk is to it, without one."""
    controller = _controller(service)
    _, hard = controller.rlimit(psutil.RLIMIT_FSIZE)
    controller.rlimit(psutil.RLIMIT_FSIZE, (1, hard))
    kill_a_replica(service)  # something has to be decided, and so stored


def permit_writing(service: ScratchService) -> None:
    controller = _controller(service)
    _, hard = controller.rlimit(psutil.RLIMIT_FSIZE)
    controller.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))


def take_up(service: ScratchService, shape: Shape) -> None:
    """Another fs.yaml, taken up as what is more than numbers is: the controller ends, and the next one adopts."""
    service.write(shape)
    end_controller(service)
    service.serve()


def starve(service: ScratchService, clients: int) -> float:
    """As much load as its replicas take, and then a policy with one of them: when that holds."""
    flood(service, clients)
    service.write(replace(service.shape, replicas=1))
    service.must("fs apply --yes")
    return time.time()


def miss_window(service: ScratchService, replicas: int) -> float:
    """A policy that soon wants so many, applied, as Prometheus is told; but when it does the controller is dead."""
    opens_s = time.time() + OPENS_IN_S
    service.write(replace(service.shape, window=window(replicas, opens_s)))
    service.must("fs apply --yes")
    wait_until(lambda: service.watch.has(NEXT_CUT_OVER.name), OPENS_IN_S / 2, "Prometheus knows when it opens")
    kill_controller(service)
    if time.time() >= opens_s:
        raise DrillError("this machine is too slow: the window opened before the controller was dead")
    wait_until(lambda: time.time() >= opens_s, OPENS_IN_S, "the window opens")
    return opens_s


def window(replicas: int, from_s: float) -> Mapping[str, object]:
    """Cron knows minutes; the time before its start at which the floor is raised makes seconds of them. Pure."""
    start_s = math.ceil(from_s / MINUTE_S) * MINUTE_S
    start, end = (datetime.fromtimestamp(at_s, UTC) for at_s in (start_s, start_s + WINDOW_S))
    return {
        "name": "drilled",
        "cron": {
            "start": f"{start.minute} {start.hour} * * *",
            "end": f"{end.minute} {end.hour} * * *",
            "timezone": "UTC",
        },
        "min_replicas": replicas,
        "lead_s": round(start_s - from_s, 1),
    }


def end_controller(service: ScratchService) -> None:
    pid = _controller(service).pid
    psutil.Process(pid).terminate()
    wait_until(lambda: not family.is_running(pid), GONE_S, "the controller has ended")


def stick_migration(service: ScratchService) -> None:
    """No limit rolls it back, and its first step is proved by more requests than come."""
    rules = "--min-requests 100000 --hold 1s --limit 'error_rate<=50%'"
    service.must(f"fs migrate {STEADY} --to {SPARE} {rules} --detach --yes")


def flood(service: ScratchService, clients: int) -> None:
    """Of a tenant of its own; its answers are not counted."""
    service.floods.append(Load(Caller(service.target.url, service.keys[NOISY], MODEL, clients)).start())


def wait(service: Service) -> None:
    """It is over."""


def _controller(service: Service) -> psutil.Process:
    pid = service.controller_pid()
    if pid is None:
        raise DrillError("no controller answers")
    return psutil.Process(pid)


def certify(service: ScratchService, days: int) -> None:
    """A certificate for loopback, in the files that fs.yaml names. Raises `DrillError`."""
    if shutil.which("openssl") is None:
        raise DrillError("openssl is not installed, and a certificate is made with it")
    key, certificate = service.places.certificate_key, service.places.certificate
    made = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {days}"
    service.must(f"{made} -subj /CN=drill -addext subjectAltName=IP:127.0.0.1 -keyout {key}.new -out {certificate}.new")
    service.must(f"mv {key}.new {key} && mv {certificate}.new {certificate}")


def kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.kill()
    wait_until(lambda: not family.is_running(process.pid), GONE_S, f"process {process.pid} has ended")
