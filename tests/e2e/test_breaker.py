"""The ServingCircuitBreaker on what runs: a deployment that fails is left alone, tried again and taken back."""

import json
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from finsight_serve.cli.stored import stored_state
from finsight_serve.domain.breaker import Breaker

from .blue_green import PATIENT, SOURCE, deployment, rows, set_faults, wait_at
from .load import Load
from .moving import migrate, wait_over, wait_phase, wait_streaming
from .stand import MODEL, Stand
from .waiting import wait_until

SPARE, LONE, LONE_MODEL = "spare", "lone", "lone-model"
OPEN_S, IN_A_ROW, GOOD = 20, 4, 5
RULES = {
    "window_s": 5,
    "min_requests": 1000,
    "consecutive_failures": IN_A_ROW,
    "open_s": OPEN_S,
    "half_open_percent": 20,
    "half_open_requests": GOOD,
}
WORKERS, TOKENS = 6, 10


@pytest.fixture(scope="module")
def three() -> Iterator[Stand]:
    with closing(Stand("breaker")) as stand:
        stand.write(
            health=PATIENT,
            breaker=RULES,
            deployments=[deployment(SOURCE), deployment(SPARE), {**deployment(LONE), "model": LONE_MODEL}],
            tenants=[{"name": "default", "deployment": SOURCE}, {"name": LONE, "deployment": LONE}],
        )
        stand.serve()
        wait_until(lambda: all(one.health == "ok" for one in stand.seen().replicas), 60, "all answer the probe")
        yield stand


def shown(stand: Stand, name: str) -> str:
    return next(one.breaker for one in stand.seen().deployments if one.name == name)


def stored(stand: Stand, name: str) -> Breaker:
    return stored_state(stand.state).durable.breakers.get(name, Breaker())


def wait_state(stand: Stand, name: str, state: str) -> None:
    wait_until(lambda: stored(stand, name).state == state, 4 * OPEN_S, f"the breaker of {name} is {state}", poll_s=0.05)


def events(stand: Stand, name: str) -> list[tuple[str, str]]:
    return [(e.kind, e.reason) for e in stand.seen().events if e.subject == name and e.kind.startswith("breaker_")]


def test_it_opens_spills_survives_a_restart_and_closes_again(three: Stand) -> None:
    stand = three
    with stand.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        set_faults(stand, SOURCE, error_rate=1.0)
        wait_state(stand, SOURCE, "open")
        wait_at(stand, SPARE)
        wait_until(lambda: stand.seen().routes_in_force == stand.seen().route_version, 60, "the spill is in force")
        spilled, spilled_s = stand.seen().route_version, time.monotonic()
        opened = stored(stand, SOURCE)
        assert opened.reason == f"{opened.reason.split()[0]} requests in a row failed or broke off (limit {IN_A_ROW})" \
            f"; open for {OPEN_S} s"  # fmt: skip
        assert shown(stand, SOURCE) == f"open: {opened.reason}"
        assert opened.reason in stand.fs("status").stdout
        assert events(stand, SOURCE) == [("breaker_opened", opened.reason)]

        set_faults(stand, SOURCE)  # mended, which nobody knows until it is tried again
        stand.serving.process.kill()
        stand.serving.wait_ended()
        stand.serve()
        unchanged = stored(stand, SOURCE) == opened
        assert unchanged or time.time() > opened.since_s + OPEN_S, (
            "a restart neither closes it nor begins its time anew"
        )
        wait_state(stand, SOURCE, "closed")
        wait_at(stand, SOURCE)
    seen = rows(stand, {answer.request_id for answer in load.answers})
    lost = [seen[answer.request_id] for answer in load.not_whole()]
    assert len(lost) >= IN_A_ROW and {one["deployment"] for one in lost} == {SOURCE}
    assert all(one["route_version"] < spilled for one in lost), "what the spill's routes sent was answered whole"
    tried = min(
        one["route_version"] for one in seen.values() if one["deployment"] == SOURCE and one["route_version"] > spilled
    )
    assert {one["deployment"] for one in seen.values() if one["route_version"] == tried} == {SOURCE, SPARE}
    late = [answer for answer in load.not_whole() if answer.began_s > spilled_s]
    assert len(late) <= WORKERS, "a reload lets each kept connection ask once more by the routes of before"
    print(f"{len(lost)} of {len(load.answers)} requests failed by the routes of before")
    kinds = [kind for kind, _ in events(stand, SOURCE)]
    assert kinds == ["breaker_opened", "breaker_half_open", "breaker_closed"]
    audited = json.loads(stand.fs("audit", "--subject", SOURCE, "-o", "json").stdout)
    changes = [(one["before"], one["after"]) for one in audited if one["action"].startswith("breaker")]
    assert len(changes) == 3 and opened.reason in json.dumps(changes[0])


def test_with_nobody_else_to_answer_it_is_503_and_opens_for_longer(three: Stand) -> None:
    stand = three
    with Load(f"{stand.url}/v1", stand.keys[LONE], LONE_MODEL, workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        set_faults(stand, LONE, error_rate=1.0)
        wait_state(stand, LONE, "open")
        wait_until(lambda: stand.seen().routes_in_force == stand.seen().route_version, 60, "nobody is sent there")
        assert stand.seen().tenants[1].routed_to == "refused"
        answer = ask(stand, LONE, LONE_MODEL)
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
        assert answer.json() == {
            "error": {
                "message": "No replica is ready.", "type": "server_error", "param": None, "code": "service_unavailable"
            }
        }  # fmt: skip
        assert ask(stand, "default", MODEL).status_code == 200, "no matter of other tenants"
        wait_state(stand, LONE, "half_open")
        wait_until(lambda: stored(stand, LONE).openings == 2, 60, "it opens again")
    again = stored(stand, LONE)
    assert again.state == "open" and f"tried again; open for {2 * OPEN_S} s" in again.reason


def test_it_rolls_back_a_migration_whose_limits_are_wide(three: Stand) -> None:
    stand = three
    options = ("--steps", "50,100", "--hold", "60s", "--min-requests", "3", "--limit", "error_rate<=100%")
    with stand.load(workers=WORKERS, tokens=TOKENS) as load:
        wait_streaming(load)
        id = migrate(stand, "default", SPARE, *options)
        wait_phase(stand, id, "shifting 50")
        set_faults(stand, SPARE, error_rate=1.0)
        ended = wait_over(stand, id, 60)
    assert (ended.phase, ended.step) == ("rolled_back", 0)
    assert ended.reason.startswith(f"the breaker of {SPARE} is open: {SPARE} at 50 % had "), ended.reason
    wait_at(stand, SOURCE)
    seen = rows(stand, {answer.request_id for answer in load.answers})
    assert {seen[answer.request_id]["deployment"] for answer in load.not_whole()} == {SPARE}


def ask(stand: Stand, tenant: str, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "well?"}], "max_tokens": 2}
    headers = {"Authorization": f"Bearer {stand.keys[tenant]}"}
    return httpx.post(f"{stand.url}/v1/chat/completions", json=body, headers=headers, trust_env=False)
