"""A tenant is moved from Ray to plain processes under load, and one thing is killed at one stage of it.

Two cells of the matrix by default; `-m ''` runs every combination (some 15 minutes). The
lines are printed at the end of the run, and written to the file that FS_MIGRATION_REPORT names.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec

import pytest

from finsight_serve.domain.migration import OVER

from .conftest import MIGRATIONS, RAY_OPTIONS
from .faults import is_well, ray_answers, ray_daemon
from .moving import (
    DESTINATION,
    SOURCE,
    Loss,
    Trial,
    migrate,
    migrations,
    try_phase,
    victim_of,
    wait_over,
)
from .processes import open_connections
from .stand import MODEL, Stand
from .waiting import wait_until

STEPS = (10, 50, 100)
OPTIONS = ("--steps", "10,50,100", "--hold", "2s", "--min-requests", "5", "--limit", "error_rate<=60%")
"""The limit is wide: what is shown here is who survives a kill, and the killed replica's own streams do not."""
BACK = ("--steps", "100", "--hold", "0s", "--min-requests", "0", "--limit", "error_rate<=100%")  # nobody asks then
STAGES = ("preparing", "probing", *(f"shifting {step}" for step in STEPS), "draining", "rolling_back")
REPLICAS = 2  # on Ray; the destination has one, and must grow first
SETTLE_S = 120.0


def kill_controller(stand: Stand) -> Loss:
    old = stand.serving.process
    old.kill()
    old.wait()
    stand.serve()
    return Loss()


def kill_worker(stand: Stand) -> Loss:
    held = {child: open_connections(child.pid, stand.port) for child in stand.nginx().children()}
    victim = max(held, key=lambda worker: held[worker])
    victim.kill()
    return Loss(at_most=held[victim], unknown=True)


def kill_replica_of(deployment: str) -> Callable[[Stand], Loss]:
    def strike(stand: Stand) -> Loss:
        address, process = victim_of(stand, deployment)
        held = open_connections(process.pid, int(address.rpartition(":")[2]))
        process.kill()
        return Loss(address, held)

    return strike


def kill_control_plane(stand: Stand) -> Loss:
    ray_daemon(stand, "gcs_server").kill()
    return Loss()


STRIKES = {
    "controller": kill_controller,
    "nginx worker": kill_worker,
    "source replica": kill_replica_of(SOURCE),
    "destination replica": kill_replica_of(DESTINATION),
    "source control plane": kill_control_plane,
}
SOME = [
    ("controller", "shifting 10"),
    ("source replica", "draining"),
]
EVERY = [
    pytest.param(fault, stage, marks=() if (fault, stage) in SOME else pytest.mark.long)
    for stage in STAGES
    for fault in STRIKES
]


@pytest.fixture(scope="module")
def two_backends() -> Iterator[Stand]:
    if not find_spec("ray"):
        pytest.skip("ray is not installed")
    with closing(Stand("moving")) as stand:
        engine = {"engine": "sim", "engine_options": {"token_interval_s": 0.03}, "model": MODEL}
        slow = {"engine": "sim", "engine_options": {"token_interval_s": 0.03, "load_s": 3}, "model": MODEL}
        stand.write(
            backend="ray",
            backends={"ray": {"orchestrator": "ray", **RAY_OPTIONS}, "local": {"orchestrator": "local"}},
            deployments=[
                {"name": SOURCE, **engine, "policy": {"min_replicas": REPLICAS, "max_replicas": REPLICAS}},
                {
                    "name": DESTINATION,
                    "backend": "local",
                    **slow,
                    "policy": {"min_replicas": 1, "max_replicas": REPLICAS},
                },
            ],
        )
        stand.serve(deadline_s=300)
        yield stand


@pytest.fixture
def at_source(two_backends: Stand) -> Iterator[Stand]:
    """The tenant is at the source, everything is well, and nothing is being moved."""
    for id, migration in migrations(two_backends).items():
        if migration.phase not in OVER:  # what failed here shall fail nothing that comes after
            two_backends.fs("migrate", "rollback", id, "--yes")
            wait_over(two_backends, id)
    wait_until(lambda: is_well(two_backends.live(), REPLICAS + 1), SETTLE_S, "all is well before")
    wait_until(lambda: ray_answers(two_backends), SETTLE_S, "Ray's control plane answers")
    if "chat-local" in two_backends.seen().tenants[0].routed_to:
        wait_over(two_backends, migrate(two_backends, "default", SOURCE, *BACK))
        wait_until(lambda: is_well(two_backends.live(), REPLICAS + 1), SETTLE_S, "all is well before")
    told = len(two_backends.serving.output)
    yield two_backends
    print(two_backends.serving.output[told:])  # pytest shows it where the test failed


@pytest.mark.parametrize(("fault", "stage"), EVERY)
def test_killed_on_the_way(at_source: Stand, fault: str, stage: str, pytestconfig: pytest.Config) -> None:
    done = try_phase(at_source, fault, STRIKES[fault], stage, OPTIONS)
    pytestconfig.stash[MIGRATIONS].append(done.line())
    assert done.outcome == "rolled back" if stage == "rolling_back" else done.outcome in ("resumed", "rolled back")
    assert_at_one_place(at_source, done)
    done.assert_only_what_was_struck_is_lost()


def assert_at_one_place(stand: Stand, done: Trial) -> None:
    """Where it ended is where the requests go."""
    place = DESTINATION if done.outcome == "resumed" else SOURCE
    wait_until(lambda: stand.seen().tenants[0].routed_to == f"{place} 100 %", 60, f"all requests go to {place}")
