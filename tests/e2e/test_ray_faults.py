"""The fault suite: real Ray, real nginx, a steady load of streams, and one thing killed at a time.

Its lines are printed at the end of the run, and written to the file that FS_FAULT_REPORT names.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import openai
import psutil
import pytest

from .conftest import CAP, FAULTS, REPLICAS
from .faults import (
    Trial,
    is_gone,
    is_restarted,
    ray_answers,
    ray_daemon,
    try_fault,
    wait_for_traffic,
)
from .load import Load
from .processes import listener, open_connections
from .stand import MODEL, Stand
from .waiting import wait_until

RELOADS = 20
RAYLET_S = 180.0


@pytest.fixture
def trial(on_ray: Stand, pytestconfig: pytest.Config) -> Iterator[Callable[..., Trial]]:
    def run(fault: str, strike: Callable[[Load], None], is_mended: Callable[..., bool], **options: object) -> Trial:
        done = try_fault(on_ray, fault, strike, is_mended, replicas=REPLICAS, **options)  # type: ignore[arg-type]
        pytestconfig.stash[FAULTS].append(done.line())
        return done

    told = len(on_ray.serving.output)
    yield run
    print(on_ray.serving.output[told:])  # pytest shows it where the test failed


def one_replica(stand: Stand) -> tuple[str, str, psutil.Process]:
    """(id, address, process) of a ready replica."""
    id, address = sorted(stand.replicas().items())[0]
    return id, address, listener(int(address.rpartition(":")[2]))


def held_by(process: psutil.Process, address: str) -> int:
    return open_connections(process.pid, int(address.rpartition(":")[2]))


def test_gcs_is_killed(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    gcs = ray_daemon(on_ray, "gcs_server")
    before = on_ray.replicas()
    restarted = is_restarted(on_ray, "gcs_server", gcs)
    done = trial("kill -9 of the GCS", lambda _: gcs.kill(), lambda s: restarted(s) and ray_answers(on_ray))
    done.assert_all_whole()
    assert on_ray.replicas() == before


def test_a_replica_is_killed(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    id, address, process = one_replica(on_ray)
    held = 0

    def strike(_: Load) -> None:
        nonlocal held
        held = held_by(process, address)
        process.kill()

    done = trial("kill -9 of a replica", strike, is_gone(id))
    done.assert_only_lost_on(address, at_most=held)


def test_a_replica_is_stopped(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    id, address, process = one_replica(on_ray)
    held = 0

    def strike(_: Load) -> None:
        nonlocal held
        held = held_by(process, address)
        process.suspend()

    try:
        done = trial("SIGSTOP of a replica", strike, is_gone(id))
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()  # nothing that failed here shall fail what comes after
    done.assert_only_lost_on(address, at_most=held)


@pytest.mark.long
def test_a_replica_answers_wrongly(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    id, address, _ = one_replica(on_ray)

    def strike(_: Load) -> None:
        headers = {"Authorization": f"Bearer {on_ray.replica_key()}"}
        httpx.post(f"http://{address}/sim/faults", json={"wrong": True}, headers=headers).raise_for_status()

    note = "the wrong answers, all from that replica, count as truncated"
    done = trial("wrong answers from a replica", strike, is_gone(id), note=note)
    done.assert_only_lost_on(address, at_most=len(done.answers))
    struck_s = min(answer.ended_s for answer in done.not_whole)
    assert max(answer.ended_s for answer in done.not_whole) - struck_s < 15, "evicted after two probes"


def test_the_controller_is_killed(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    before, master = on_ray.replicas(), on_ray.nginx()
    old = on_ray.serving.process

    def strike(load: Load) -> None:
        old.kill()
        old.wait()
        wait_for_traffic(load)
        on_ray.serve()

    done = trial(
        "kill -9 of the controller",
        strike,
        lambda status: status.controller == f"running, pid {on_ray.serving.process.pid}",
        note="with two rounds of answers before it is started again",
    )
    done.assert_all_whole()
    assert on_ray.replicas() == before and on_ray.nginx() == master


@pytest.mark.long
def test_the_routes_are_reloaded(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    """Short answers on kept connections: what breaks in a reload is a request on a connection that is being closed."""

    def strike(load: Load) -> None:
        for _ in range(RELOADS):
            before = set(on_ray.nginx().children())
            on_ray.nginx().send_signal(signal.SIGHUP)
            wait_until(lambda old=before: set(on_ray.nginx().children()) - old, 60, "nginx has new workers")
            wait_for_traffic(load, answers=10)

    trial(f"{RELOADS} route reloads", strike, lambda _: True, tokens=3).assert_all_whole()


def test_an_nginx_worker_is_killed(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    def workers() -> dict[psutil.Process, int]:
        return {child: open_connections(child.pid, on_ray.port) for child in on_ray.nginx().children()}

    def new_rows() -> int:
        return unknown_rows(on_ray) - unknown_before

    unknown_before = unknown_rows(on_ray)
    held, victim = 0, on_ray.nginx()

    def strike(_: Load) -> None:
        nonlocal held, victim
        now = workers()
        victim = max(now, key=lambda worker: now[worker])
        held = now[victim]
        assert held > 0
        victim.kill()

    with on_ray.load("capped", workers=CAP // 2, tokens=40) as capped:
        wait_until(lambda: capped.streaming == CAP // 2, 60, "the capped tenant's streams run")
        done = trial("kill -9 of an nginx worker", strike, lambda _: victim not in workers() and bool(workers()))
    lost = [*done.not_whole, *capped.not_whole()]
    assert len(lost) <= held, done.explain()
    assert {done.rows[answer.request_id][1] for answer in done.not_whole if answer.request_id} <= {"unknown"}
    done.assert_ledger_agrees()

    wait_until(lambda: new_rows() >= len(lost) > 0, 60, "the ledger has a row of unknown outcome for each")
    assert new_rows() <= held
    wait_until(lambda: on_ray.open_requests() == {"default": 0, "capped": 0}, 60, "in-flight counters are down again")
    assert_full_limit(on_ray)


def unknown_rows(stand: Stand) -> int:
    return sum(row.unknown for row in stand.seen().ledger)


def assert_full_limit(stand: Stand) -> None:
    """The capped tenant may have `CAP` requests open, and not one more."""
    with stand.load("capped", workers=CAP, tokens=100, rounds=1) as load, stand.client("capped") as client:
        wait_until(lambda: load.streaming == CAP or load.not_whole(), 60, "the whole limit can be used")
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "one more"}])
        load.join()
    assert caught.value.response.headers["retry-after"]
    assert load.not_whole() == []


@pytest.mark.long
def test_the_head_raylet_is_killed(on_ray: Stand, trial: Callable[..., Trial]) -> None:
    """It owns the replicas of a single node, so the losses are reported; but it must come back by itself."""
    raylet = ray_daemon(on_ray, "raylet")
    before = set(on_ray.replicas())
    trial(
        "kill -9 of the head raylet",
        lambda _: raylet.kill(),
        lambda status: not before & {one.id for one in status.replicas if one.state == "ready"},
        deadline_s=RAYLET_S,
        note="on a single node it owns all replicas",
    )
