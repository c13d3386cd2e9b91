"""The commands around a running stack: plan, status, logs, doctor, state."""

import json
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from .stand import MODEL, Stand
from .waiting import wait_until


@pytest.fixture(scope="module")
def served() -> Iterator[Stand]:
    with closing(Stand()) as stand:
        stand.write(replicas=2)
        stand.serve()
        yield stand


def test_plan_shows_what_would_be_made_and_makes_nothing(stand: Stand) -> None:
    stand.write(replicas=2)
    plan = json.loads(stand.fs("plan", "-o", "json").stdout)
    assert {change["backend"] for change in plan["changes"]} == {"local", "load balancer"}
    assert {change["action"] for change in plan["changes"]} == {"create"}
    assert MODEL in plan["diff"]
    assert {row["field"]: row["verdict"] for row in plan["fidelity"]}["min_replicas"] == "exact"
    stand.assert_nothing_runs()
    assert not list(stand.state.rglob("*.db")) and not list(stand.state.rglob("*.conf"))


def test_plan_of_what_runs_keeps_everything(served: Stand) -> None:
    wait_until(lambda: len(served.replicas()) == 2, 60, "two replicas")
    plan = json.loads(served.fs("plan", "-o", "json").stdout)
    assert {change["action"] for change in plan["changes"]} == {"keep"}, plan["diff"]
    assert served.replica_key() not in served.fs("plan").stdout


def test_status_in_json_and_for_people(served: Stand) -> None:
    wait_until(lambda: all(one.health == "ok" for one in served.seen().replicas), 60, "probed")
    status = served.status()
    assert status["stack"]["url"] == served.url and status["stack"]["load_balancer"] == "ok"
    assert [row["state"] for row in status["backends"]] == ["ok"]
    assert [(row["name"], row["model"], row["ready"]) for row in status["deployments"]] == [("chat", MODEL, 2)]
    assert [(row["name"], row["has_key"], row["open_requests"]) for row in status["tenants"]] == [("default", True, 0)]
    shown = served.fs("status").stdout
    assert all(row["id"] in shown and row["address"] in shown for row in status["replicas"])


def test_the_ledger_counts_what_clients_got(served: Stand) -> None:
    def complete() -> int:
        return sum(row.complete for row in served.seen().ledger)

    before = complete()
    with served.load(workers=2, tokens=4, rounds=5) as load:
        load.join()
    assert load.count("whole") == 10
    wait_until(lambda: complete() == before + 10, 60, "ten complete rows")


def test_logs_by_name(served: Stand) -> None:
    one = next(iter(served.replicas()))
    done = served.fs("logs", one)
    assert done.returncode == 0
    done = served.fs("logs", "nobody")
    assert done.returncode == 2 and "no log is named nobody" in done.stderr


def test_doctor_finds_nothing_wrong(served: Stand) -> None:
    done = served.fs("doctor", "-o", "json")
    wrong = [row for row in json.loads(done.stdout) if row["state"] != "ok"]
    assert (wrong, done.returncode) == ([], 0)


def test_a_backup_restores_keys_and_ledger_elsewhere(stand: Stand) -> None:
    stand.write()
    serving = stand.serve()
    with stand.client() as client:
        assert client.models.list().data
    wait_until(lambda: stand.seen().ledger, 60, "a row in the ledger")
    archive = stand.folder / "backup.tar.gz"
    done = stand.fs("state", "backup", str(archive))
    assert done.returncode == 0, done.stderr
    assert archive.stat().st_mode & 0o777 == 0o600
    refused = stand.fs("state", "restore", str(archive))
    assert refused.returncode == 2 and f"(pid {serving.process.pid})" in refused.stderr
    ledger = stand.status()["ledger"]
    serving.process.send_signal(signal.SIGINT)
    assert serving.wait_ended() == 0

    stand.state = stand.folder / "t"
    done = stand.fs("state", "restore", str(archive))
    assert done.returncode == 0, done.stderr
    assert stand.status()["ledger"] == ledger
    again = stand.serve()
    assert "as shown before" in again.output
    with stand.client() as client:
        assert client.models.list().data


def test_what_is_no_backup_is_refused_and_replaces_nothing(stand: Stand) -> None:
    stand.write()
    stand.serve()
    stand.down()
    before = (stand.state / "state.db").read_bytes()
    done = stand.fs("state", "restore", str(stand.file))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "is no backup made by `fs state backup`" in done.stderr
    assert (stand.state / "state.db").read_bytes() == before
