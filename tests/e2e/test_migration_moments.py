"""Bad moments for a migration between two deployments, under load: what people do meanwhile, and what dies."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from finsight_serve.domain.migration import OVER, Migration

from .blue_green import ATTENTIVE, DESTINATION, PATIENT, SOURCE, deployment, routed_to, rows, wait_at
from .load import Load
from .moving import migrate, migrations, open_at, wait_over, wait_phase, wait_streaming
from .processes import listener
from .stand import Stand
from .waiting import wait_until

SLOW, LOAD_S = "chat-slow", 4
LIMIT = ("--limit", "error_rate<=0%")
GOES_ON = ("--steps", "10,50,100", "--hold", "1s", "--min-requests", "3", *LIMIT)
STEPS = "10,20,30,40,50,60,70,80,90,100"  # so many that a command falls into one of the first, however long it takes
HOLDS = ("--steps", STEPS, "--hold", "3s", "--min-requests", "3", *LIMIT)
QUICK = ("--steps", "50,100", "--hold", "1s", "--min-requests", "3", *LIMIT)
STAYS = ("--steps", "50,100", "--hold", "60s", "--min-requests", "3", *LIMIT)
TENANTS = ("never-ready", "twice", "another", "revoked", "rotated", "paused", "killed", "down", "gone")
WORKERS, TOKENS, LONG_TOKENS = 4, 10, 50
KILLS = 4


@pytest.fixture(scope="module")
def served() -> Iterator[Stand]:
    with closing(Stand("moments")) as stand:
        stand.write(
            health=PATIENT,
            breaker=ATTENTIVE,
            deployments=[
                deployment(SOURCE, replicas=2),
                deployment(DESTINATION),
                deployment(SLOW, most=2, load_s=LOAD_S),
            ],
            tenants=[{"name": name, "deployment": SOURCE} for name in TENANTS],
        )
        stand.serve()
        yield stand


@pytest.fixture
def two(served: Stand) -> Iterator[Stand]:
    for id, migration in migrations(served).items():
        if migration.phase not in OVER:  # what failed before shall fail nothing here
            served.fs("migrate", "rollback", id, "--yes")
            wait_over(served, id)
    told = len(served.serving.output)
    yield served
    print(served.serving.output[told:])


def load(stand: Stand, tenant: str, tokens: int = TOKENS) -> Load:
    return stand.load(tenant, workers=WORKERS, tokens=tokens)


def assert_all_whole(stand: Stand, load: Load) -> None:
    """For the clients, and in the ledger."""
    assert load.answers and [answer.why for answer in load.not_whole()] == []
    seen = rows(stand, {answer.request_id for answer in load.answers})
    assert {seen[answer.request_id]["outcome"] for answer in load.answers} == {"complete"}


def ready(stand: Stand, name: str) -> int:
    return next(one.ready for one in stand.seen().deployments if one.name == name)


def test_a_destination_that_never_gets_ready_is_given_up(two: Stand) -> None:
    with load(two, "never-ready") as asked:
        wait_streaming(asked)
        id = migrate(two, "never-ready", SLOW, *GOES_ON, "--prepare-deadline", "2s")
        ended = wait_over(two, id, 30)
    assert (ended.phase, ended.records) == ("failed", ())
    assert ended.reason == (
        f"{SLOW} never got ready in 2 s (1 of 2 replicas of {SLOW} are ready); nothing was moved"
    )  # the source has two
    assert "nothing was moved" in two.fs("ledger", id).stdout
    assert routed_to(two, "never-ready") == f"{SOURCE} 100 %"
    assert_all_whole(two, asked)
    wait_until(lambda: [one.deployment for one in two.seen().replicas].count(SLOW) == 1, 60, "its floor is as before")


def begin_together(stand: Stand, *tenants: str) -> list[tuple[int, str]]:
    """`fs migrate` of each, started together: exit code, and what it said last."""
    running = [
        subprocess.Popen(
            stand.argv("migrate", tenant, "--to", DESTINATION, "--yes", "--detach", *STAYS),
            env=stand.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for tenant in tenants
    ]
    said = [one.communicate(timeout=60) for one in running]
    return sorted((one.returncode, err or out.splitlines()[-1]) for one, (out, err) in zip(running, said, strict=True))


def test_at_the_same_instant_one_is_taken_of_each_tenant(two: Stand) -> None:
    before = set(migrations(two))
    *taken, (refused, line) = begin_together(two, "twice", "twice", "another")
    new = {migrations(two)[id].tenant: id for id in set(migrations(two)) - before}
    assert ([code for code, _ in taken], refused) == ([0, 0], 2), (taken, line)
    assert new.keys() == {"twice", "another"} and len(set(migrations(two)) - before) == 2
    assert sorted(said for _, said in taken) == sorted(
        f"Begun: {id}; `fs migrate status {id} --watch` watches it." for id in new.values()
    )
    assert len(line.splitlines()) == 1 and line.startswith("fs: tenant twice: ") and new["twice"] in line, line
    assert two.fs("migrate", "rollback", *new.values(), "--yes").returncode == 0
    assert {wait_over(two, id).phase for id in new.values()} == {"rolled_back"}


def test_a_key_is_revoked_midway(two: Stand) -> None:
    """Nobody asks any more, so nothing is proved, and the step's deadline takes it back."""
    options = ("--steps", "50,100", "--hold", "1s", "--min-requests", "10000", "--step-deadline", "6s", *LIMIT)
    with load(two, "revoked") as asked:
        wait_streaming(asked)
        id = migrate(two, "revoked", DESTINATION, *options)
        wait_phase(two, id, "shifting 50")
        revoked_s = time.monotonic()
        assert two.fs("tenant", "revoke", "revoked", "--yes").returncode == 0
        held_s = time.monotonic()
        ended = wait_over(two, id, 60)
    assert ended.phase == "rolled_back" and ended.reason.startswith("50 % proved nothing in 6 s ("), ended.reason
    refused = asked.not_whole()
    assert [answer for answer in refused if not answer.why.startswith("401 ") or answer.ended_s <= revoked_s] == []
    assert refused
    assert all(answer.outcome == "whole" for answer in asked.answers if answer.began_s < revoked_s)
    late = [answer for answer in asked.answers if answer.began_s > held_s and answer.outcome == "whole"]
    assert len(late) <= WORKERS, "a reload lets each kept connection ask once more by the routes of before"
    seen = rows(two, {answer.request_id for answer in asked.answers if answer.outcome == "whole"})
    assert {one["outcome"] for one in seen.values() if one["tenant"] == "revoked"} == {"complete"}


def test_a_key_is_rotated_midway(two: Stand) -> None:
    with load(two, "rotated") as before:
        wait_streaming(before)
        id = migrate(two, "rotated", DESTINATION, *QUICK)
        wait_phase(two, id, "shifting 50")
        done = two.fs("tenant", "rotate", "rotated")
        assert done.returncode == 0, done.stderr
        two.keys["rotated"] = done.stdout.strip()
        with load(two, "rotated") as after:
            ended = wait_over(two, id, 60)
    assert ended.phase == "done", ended.reason
    assert_all_whole(two, before)
    assert_all_whole(two, after)


def test_it_is_paused_resumed_and_rolled_back_by_hand(two: Stand) -> None:
    with load(two, "paused") as asked:
        wait_streaming(asked)
        id = migrate(two, "paused", DESTINATION, *HOLDS)
        wait_phase(two, id, "shifting 10")
        assert two.fs("migrate", "pause", "paused").returncode == 0
        at = migrations(two)[id]
        assert at.paused and at.phase == "shifting"
        would_go_on(two, asked, at)
        assert migrations(two)[id].step == at.step
        assert "paused" in two.fs("migrate", "explain", id).stdout
        assert two.fs("migrate", "resume", id).returncode == 0
        wait_until(lambda: migrations(two)[id].step > at.step, 60, "it goes on")
        assert two.fs("migrate", "rollback", id, "--yes").returncode == 0
        wait_at(two, SOURCE, "paused")
        ended = wait_over(two, id)
    assert ended.phase == "rolled_back" and ended.reason.startswith("asked for by "), ended.reason
    assert_all_whole(two, asked)
    done = two.fs("migrate", "pause", id)
    assert (done.returncode, done.stderr.startswith(f"fs: {id} is over: rolled back")) == (2, True), done.stderr


def would_go_on(stand: Stand, load: Load, migration: Migration) -> None:
    """Waits for what would carry an unpaused step on: twice the requests and the time that it needs."""
    began_s, least = time.monotonic(), 2 * migration.rules.min_requests
    hold_s = 2 * migration.rules.hold_s

    def seen() -> bool:
        version = migration.records[-1].from_version
        there = [one for one in rows(stand).values() if one["deployment"] == migration.destination]
        return sum(one["route_version"] >= version for one in there) >= least and time.monotonic() > began_s + hold_s

    wait_until(seen, 60, "enough was seen for the next step")


def test_the_controller_is_killed_between_a_commit_and_what_follows(two: Stand) -> None:
    """As soon as a new split is stored; most often nginx has not been told yet."""
    untold = 0
    with load(two, "killed") as asked:
        wait_streaming(asked)
        id = migrate(two, "killed", DESTINATION, *GOES_ON)
        for number in range(1, KILLS + 1):
            migration = wait_records(two, id, number)
            two.serving.process.kill()
            untold += is_untold(two, migration)
            two.serving.wait_ended()
            wait_streaming(asked)
            two.serve()
        ended = wait_over(two, id, 90)
    assert ended.phase == "done", ended.reason
    assert_all_whole(two, asked)
    print(f"nginx had not been told at {untold} of {KILLS} kills")
    assert untold
    wait_at(two, DESTINATION, "killed")


def wait_records(stand: Stand, id: str, number: int) -> Migration:
    """The migration, as soon as its `number`-th split (or, past the last, its end) is stored."""

    def stored() -> Migration | None:
        migration = migrations(stand)[id]
        return migration if len(migration.records) >= number or migration.phase in ("draining", *OVER) else None

    return wait_until(stored, 60, f"split {number} is stored", poll_s=0.001)


def is_untold(stand: Stand, migration: Migration) -> bool:
    told = (stand.state / "load_balancer" / "current" / "nginx.conf").read_text()
    found = re.search(r'\$route_version "(\d+)"', told)
    assert found, told
    return int(found[1]) < migration.records[-1].from_version


@pytest.mark.long
def test_all_is_taken_down_and_served_again_midway(two: Stand) -> None:
    id = migrate(two, "down", DESTINATION, *QUICK)
    wait_phase(two, id, "shifting 50")
    assert two.down().returncode == 0
    at = migrations(two)[id]
    assert (at.phase, at.step) == ("shifting", 0)
    two.serve()
    assert routed_to(two, "down") == f"{SOURCE} 50 %, {DESTINATION} 50 %"
    with load(two, "down") as asked:
        ended = wait_over(two, id, 60)
    assert ended.phase == "done", ended.reason
    assert_all_whole(two, asked)


@pytest.mark.long
def test_the_destination_dies_again_and_again(two: Stand) -> None:
    """It had one replica: what was sent there until the routes changed is lost, and nothing else is."""
    with load(two, "gone", tokens=LONG_TOKENS) as asked:
        wait_streaming(asked)
        id = migrate(two, "gone", DESTINATION, *STAYS)
        wait_phase(two, id, "shifting 50")
        wait_until(lambda: open_at(two, DESTINATION), 60, "streams run at the destination", poll_s=0.01)
        killed_s = time.monotonic()
        while migrations(two)[id].phase == "shifting":
            kill_all(two, DESTINATION)
        took_s = time.monotonic() - killed_s
        ended = wait_over(two, id)
        wait_at(two, SOURCE, "gone")
        back_s = time.monotonic()
        wait_until(lambda: sum(a.began_s > back_s for a in asked.answers) > 3 * WORKERS, 60, "the source answers")
    assert ended.phase == "rolled_back", ended.reason
    assert f"{DESTINATION} has no ready replica" in ended.reason
    seen = rows(two, {answer.request_id for answer in asked.answers})
    lost = [seen[answer.request_id] for answer in asked.not_whole()]
    assert {one["deployment"] for one in lost} <= {DESTINATION}
    assert all(answer.outcome == "whole" for answer in asked.answers if answer.began_s > back_s)
    print(f"{len(lost)} of {len(asked.answers)} lost at the destination; rolled back after {took_s:.1f} s")
    assert len(lost) < len(asked.answers) / 4
    wait_until(lambda: ready(two, DESTINATION) == 1, 60, "it is ready again")


def kill_all(stand: Stand, name: str) -> None:
    for one in stand.seen().replicas:
        if one.deployment == name and one.state == "ready":
            try:
                listener(int(one.address.rpartition(":")[2])).kill()
            except AssertionError:  # it is dead, and the controller has not looked yet
                continue
