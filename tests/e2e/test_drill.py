"""`fs drill` as a person runs it: the runbook's section for a dead controller, and a drill that is interrupted."""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from finsight_serve.drill import family

from .run_fs import run_fs, running
from .waiting import wait_until

DRILL_S, ALL_S = 900.0, 7200.0
UP_S, GONE_S = 300.0, 300.0

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is missing (Debian's package of that name)"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """Where drills make their folders: one that is short, and of this test alone."""
    folder = Path(tempfile.mkdtemp(prefix="fs-", dir="/tmp"))
    yield folder
    family.end(family.members(folder))
    shutil.rmtree(folder, ignore_errors=True)


def assert_nothing_is_left(place: Path) -> None:
    assert [path.name for path in place.glob("fs-drill-*")] == []
    assert family.members(place) == []


def test_the_controller_is_down(place: Path) -> None:
    argv = ("drill", "controller-down", "-o", "json", "--report", "r.md", "--report", "r.html")
    done = run_fs(*argv, cwd=place, env={"TMPDIR": str(place)}, timeout_s=DRILL_S)
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    (line,) = told["drills"]
    assert (line["result"], line["alert"]) == ("passed", "FinSightControllerDown")
    assert (line["failed"], line["truncated"]) == (0, 0) and line["requests"] > 10
    moments = told["controller-down: Controller down"]["moments"]
    kinds = list(dict.fromkeys(moment["kind"] for moment in moments))
    assert kinds == ["fault", "symptom", "alert", "check", "action", "recovered", "verify", "alert over"]
    assert [one["what"] for one in moments if one["kind"] == "action"] == ["`fs serve --detach`"]
    assert 4 <= float(line["seconds_to_detect"]) < float(line["seconds_to_recover"])
    assert "| controller-down | passed |" in (place / "r.md").read_text()
    assert "FinSightControllerDown" in (place / "r.html").read_text()
    assert_nothing_is_left(place)


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupted_drill_leaves_nothing(place: Path, how: signal.Signals) -> None:
    argv, env = [sys.executable, "-m", "finsight_serve", "drill", "worker-lost"], {**os.environ, "TMPDIR": str(place)}
    with running(argv, place / "drill.log", env=env, cwd=place) as process:
        wait_until(lambda: list(place.glob("fs-drill-*/s/state.db")), UP_S, "the scratch service is coming up")
        process.send_signal(how)
        assert process.wait(GONE_S) == 130, (place / "drill.log").read_text()
    assert_nothing_is_left(place)


@pytest.mark.long
def test_every_drill_passes(place: Path) -> None:
    done = run_fs("drill", "--all", "-o", "json", cwd=place, env={"TMPDIR": str(place)}, timeout_s=ALL_S)
    assert done.returncode == 0, done.stderr + done.stdout
    assert {one["result"] for one in json.loads(done.stdout)["drills"]} == {"passed"}
    assert_nothing_is_left(place)
