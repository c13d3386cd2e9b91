"""`fs drill --yes-on`: on a stack that has tenants, which serves on afterwards as it did before."""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from finsight_serve.drill import family
from finsight_serve.testing.real_env import find_free_port

from .run_fs import running
from .stand import MODEL, Stand
from .waiting import wait_until

DRILL_S, ENDED_S = 600.0, 120.0

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is missing (Debian's package of that name)"
)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    stand = Stand()
    try:
        stand.write(
            replicas=2,
            metrics={"listen": f"127.0.0.1:{find_free_port()}"},
            balancer={"metrics_listen": f"127.0.0.1:{find_free_port()}"},
            tenants=[{"name": "acme", "deployment": "chat"}],
        )
        stand.serve()
        yield stand
    finally:
        stand.close()


def controller(stand: Stand) -> psutil.Process:
    found = re.search(r"pid (\d+)", stand.seen().controller)
    assert found, stand.seen().controller
    return psutil.Process(int(found[1]))


def tenants(stand: Stand) -> list[str]:
    return [one.name for one in stand.seen().tenants]


def test_an_interrupted_one_leaves_the_stack_serving(stand: Stand, tmp_path: Path) -> None:
    before, log = controller(stand), tmp_path / "drill.log"
    argv, env = stand.argv("drill", "controller-down", "--yes-on", "stand"), {**stand.env, "TMPDIR": str(tmp_path)}
    with running(argv, log, env=env, cwd=tmp_path) as process:
        wait_until(lambda: "fault: kill -9 of the controller" in log.read_text(), DRILL_S, "the fault")
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDED_S) == 130, log.read_text()
    after = controller(stand)
    assert after.pid != before.pid and not family.is_running(before.pid)
    assert tenants(stand) == ["acme"]
    assert not list(tmp_path.glob("fs-drill-*"))
    question = [{"role": "user", "content": "Still there?"}]
    answer = stand.client("acme").chat.completions.create(model=MODEL, messages=question)
    assert answer.choices[0].message.content


@pytest.mark.long
def test_the_controller_is_down_and_nobody_notices(stand: Stand) -> None:
    done = stand.fs("drill", "controller-down", "--yes-on", "stand", "-o", "json", timeout_s=DRILL_S)
    assert done.returncode == 0, done.stderr + done.stdout
    (line,) = json.loads(done.stdout)["drills"]
    assert (line["result"], line["alert"]) == ("passed", "FinSightControllerDown")
    assert (line["failed"], line["truncated"]) == (0, 0) and line["requests"] > 5
    assert tenants(stand) == ["acme"]


def refused(stand: Stand, *argv: str) -> str:
    done = stand.fs("drill", "controller-down", *argv)
    assert done.returncode == 2, done.stderr + done.stdout
    (line,) = done.stderr.splitlines()
    return line


def test_what_a_drill_on_it_is_refused_for(stand: Stand) -> None:
    running, text = controller(stand).pid, stand.file.read_text()
    assert "1 tenant, and a drill breaks what it runs on: `--yes-on stand`" in refused(stand)
    assert refused(stand, "--yes-on", "stnad") == f"fs: --yes-on stnad: {stand.file} is stack stand"
    try:
        stand.file.write_text(text.replace("period_s: 1", "period_s: 2"))
        assert "it is not what is in force" in refused(stand, "--yes-on", "stand")
    finally:
        stand.file.write_text(text)
    assert refused(stand, "--yes-on", "stand", "--report", os.devnull).endswith("must end in .html or .md")
    head = stand.fs("drill", "head-lost", "--yes-on", "stand")
    assert head.returncode == 2 and head.stderr == "fs: head-lost: local, which runs chat, has no head to lose\n"
    assert controller(stand).pid == running
