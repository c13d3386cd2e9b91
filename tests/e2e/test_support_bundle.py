"""`fs support-bundle` of a real stack: running, stopped dead, hanging; and its secrets."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from .bundles import bundle, parsed, unpack
from .run_fs import run_fs
from .stand import MODEL, Stand
from .waiting import wait_until

HUB_TOKEN = "hub-t0k3n-of-the-one-who-serves"


@pytest.fixture(scope="module")
def served() -> Iterator[Stand]:
    with pytest.MonkeyPatch.context() as patch, closing(Stand()) as stand:
        patch.setenv("HF_TOKEN", HUB_TOKEN)  # of whoever serves; whoever collects has it not
        stand.write(replicas=2)
        stand.serve()
        patch.delenv("HF_TOKEN")
        wait_until(lambda: len(stand.replicas()) == 2, 60, "two replicas")
        with stand.load(workers=2, tokens=4, rounds=5) as load:
            load.join()
        wait_until(lambda: sum(row.complete for row in stand.seen().ledger) == 10, 60, "ten complete rows")
        yield stand


def missing(files: dict[str, bytes]) -> dict[str, str]:
    return {one["what"]: one["why"] for one in parsed(files, "manifest.json")["missing"]}


def test_of_what_runs_it_has_everything_but_secrets(served: Stand) -> None:
    files, _ = bundle(served)
    assert missing(files) == {
        place: "it is secret"
        for kind in ("planned", "in-force")
        for place in (f"load-balancer/{kind}/upstream_keys.conf", f"backend-local/{kind}/chat.env")
    }
    status = parsed(files, "status.json")
    assert status["stack"]["url"] == served.url and f"pid {served.serving.process.pid}" in status["stack"]["controller"]
    assert {row["id"] for row in parsed(files, "backend-local/observed.json")["replicas"]} == set(served.replicas())
    assert f"listen {served.url.removeprefix('http://')}" in files["load-balancer/in-force/nginx.conf"].decode()
    assert files["load-balancer/in-force/nginx.conf"] == files["load-balancer/planned/nginx.conf"]
    assert sum(row["complete"] for row in parsed(files, "ledger.json")["last_hour"]) == 10
    assert b"finsight" in files["metrics.txt"]
    assert [row["state"] for row in parsed(files, "doctor/stack.json")] == ["ok"]
    assert {one["kind"] for one in parsed(files, "events.json")} >= {"stack_chosen", "replica_ready", "routes_changed"}
    assert {one["action"] for one in parsed(files, "audit.json")} >= {"stack_chosen"}
    assert parsed(files, "configuration/served.json")["deployments"][0]["model"] == MODEL
    assert parsed(files, "manifest.json")["sure"] is True
    logs = {f"logs/{path.relative_to(served.state)}" for path in served.state.rglob("logs/**/*.log")}
    assert logs and logs <= files.keys()


def test_no_secret_is_in_it(served: Stand) -> None:
    key, replica_key = served.keys["default"], served.replica_key()
    logs = served.state / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "told.log").write_text(
        f"{HUB_TOKEN}\nto {replica_key} and from {key}\nAuthorization: Bearer {key}\nredis://user:pa55@host/0\n"
    )
    (logs / "stolen.log").symlink_to(served.state / "load_balancer" / "current" / "upstream_keys.conf")
    try:
        files, _ = bundle(served)
    finally:
        for name in ("told.log", "stolen.log"):
            (logs / name).unlink()
    assert b"[removed] and from [removed]" in files["logs/logs/told.log"]
    assert missing(files)["logs/stolen.log"] == "it is a link to what is no log"
    for secret in (HUB_TOKEN, key, replica_key, "pa55"):
        assert [name for name, data in files.items() if secret.encode() in data] == []
    hashes = re.findall(rb"\b[0-9a-f]{64}\b", files["load-balancer/in-force/tenants.conf"])
    assert hashes == [], "of keys only fingerprints"


def test_a_controller_that_hangs_is_told_of(served: Stand) -> None:
    served.serving.process.send_signal(signal.SIGSTOP)
    try:
        files, said = bundle(served)
    finally:
        served.serving.process.send_signal(signal.SIGCONT)
    assert "has not answered for 10 s" in missing(files)["the running controller's status"]
    assert "has not answered for 10 s" in missing(files)["metrics"]
    assert "status: at most" in said, "what takes long is said"
    status = parsed(files, "status.json")
    assert status["stack"]["controller"] == "does not answer" and status["deployments"][0]["name"] == "chat"
    assert {row["id"] for row in parsed(files, "backend-local/observed.json")["replicas"]}, (
        "asked of the backend itself"
    )
    wait_until(lambda: served.live() is not None, 60, "the controller answers again")


def test_bad_targets_are_a_line_and_change_nothing(served: Stand) -> None:
    there = served.folder / "there.tar.gz"
    there.write_text("mine")
    for target, why in (
        (there, "is there already; --force replaces it"),
        (served.folder, "must end in .tar.gz"),
        (served.folder / "none" / "b.tar.gz", "is no folder; make it first"),
        (Path("/proc/b.tar.gz"), "can't be written"),
    ):
        before = sorted(served.folder.iterdir())
        done = served.fs("support-bundle", "-o", str(target))
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
        assert why in done.stderr
        assert sorted(served.folder.iterdir()) == before and there.read_text() == "mine"


def test_interrupted_it_leaves_nothing(served: Stand) -> None:
    before = sorted(served.folder.iterdir())
    served.serving.process.send_signal(signal.SIGSTOP)  # so that it takes long enough to be interrupted
    try:
        argv = served.argv("support-bundle", "-o", str(served.folder / "broken.tar.gz"))
        process = subprocess.Popen(
            argv, env=served.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: list(served.folder.glob(".support-bundle-*")), 60, "it has begun")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        served.serving.process.send_signal(signal.SIGCONT)
    assert sorted(served.folder.iterdir()) == before
    wait_until(lambda: served.live() is not None, 60, "the controller answers again")


def test_without_a_stack_it_says_what_to_give(tmp_path: Path) -> None:
    done = run_fs("support-bundle", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "fs: fs.yaml: no such file; `fs init` writes one\n")
    assert list(tmp_path.iterdir()) == []


def test_a_controller_that_was_killed(stand: Stand) -> None:
    stand.write(backends={"local": {"orchestrator": "local"}})
    stand.serve()
    with httpx.Client(trust_env=False) as http:
        assert http.get(
            f"{stand.url}/v1/models", headers={"Authorization": f"Bearer {stand.keys['default']}"}
        ).is_success
    wait_until(lambda: sum(row.requests for row in stand.seen().ledger) == 1, 60, "a row in the ledger")
    os.kill(stand.serving.process.pid, signal.SIGKILL)
    stand.serving.process.wait(10)
    stand.file.rename(stand.folder / "away.yaml")
    done = stand.fs("support-bundle", "-o", str(stand.folder / "b.tar.gz"))
    (stand.folder / "away.yaml").rename(stand.file)
    assert done.returncode == 0, done.stderr
    files = unpack(stand.folder / "b.tar.gz")
    assert parsed(files, "status.json")["stack"]["controller"] == "not running"
    assert missing(files)["metrics.txt"] == "no controller runs"
    assert "no such file" in missing(files)["configuration/file.json"]
    assert parsed(files, "configuration/served.json")["name"] == "stand"
    assert parsed(files, "load-balancer/observed.json")["in_force"], "nginx goes on, and is asked"
    assert sum(row["requests"] for row in parsed(files, "ledger.json")["ever"]) == 1
