"""`fs simulate` and `fs trace record` as a person runs them."""

import csv
import json
import subprocess
from pathlib import Path

import anyio
import pytest

from finsight_serve.plugin import Request
from finsight_serve.store import Ledger

from .run_fs import run_fs

STACK = """\
name: lab
backend: ray
load_balancer: nginx
deployments:
  - name: chat
    model: sim-model
    engine: sim
    policy: {min_replicas: 1, max_replicas: 4, target_ongoing_requests: 4, upscale_delay_s: 30, downscale_delay_s: 60}
  - name: market
    model: sim-model
    engine: sim
    policy:
      min_replicas: 1
      max_replicas: 4
      schedule:
        - calendar: {exchange: XNYS, start: "09:00", end: "16:00", timezone: America/New_York}
          min_replicas: 2
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "fs.yaml").write_text(STACK)
    times = [second + part / 10 for second in range(600, 1200) for part in range(8)]
    (tmp_path / "burst.csv").write_text("arrival_s\n" + "\n".join(map(str, (0, *times, 3600))) + "\n")
    return tmp_path


@pytest.fixture
def fs(folder):
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return run_fs(*argv, cwd=folder)

    return run


BURST = ("simulate", "--policy", "fs.yaml:chat", "--trace", "burst.csv", "--service-s", "2")


def test_both_backends_side_by_side(fs):
    ran = fs(*BURST, "-o", "json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [row["backend"] for row in found["backends"]] == ["k8s-keda", "ray"]
    for row in found["backends"]:
        assert row["replica_hours"] >= row["bound_hours"] > 1
        assert row["bound_ratio"] >= 1
        assert row["shed"] == 0
    assert found["trace"]["requests"] == 4802
    assert 0.5 < found["agreement"][0]["share_of_seconds"] <= 1


def test_a_table_for_people(fs):
    ran = fs(*BURST, "--backend", "ray")
    assert ran.returncode == 0, ran.stderr
    assert "replica_hours" in ran.stdout
    assert "k8s-keda" not in ran.stdout
    assert ran.stderr == ""


def test_both_means_all_that_have_a_loop(fs):
    assert fs(*BURST, "--backend", "both").stdout == fs(*BURST).stdout


def test_a_failing_assertion_exits_with_1_after_the_figures_and_says_by_how_much(fs):
    ran = fs(*BURST, "--backend", "ray", "--assert", "shed<=0", "--assert", "replica_hours<=1", "-o", "json")
    assert ran.returncode == 1
    found = json.loads(ran.stdout)["backends"][0]
    (line,) = ran.stderr.splitlines()
    assert line.startswith("fs: ray: replica_hours<=1 fails: ")
    assert f"{found['replica_hours'] - 1:.3f}" in line


def test_assertions_that_hold(fs):
    ran = fs(*BURST, "--assert", "shed<=0", "--assert", "replica_hours<=4.1")
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.alike(3)
@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--assert", "p99_wait_s is small"), "is no limit: write METRIC<=NUMBER"),
        (("--assert", "p99_waits<=1"), "no metric named p99_waits"),
        (("--backend", "local"), "backend local has no control loop to simulate"),
        (("--backend", "rye"), "no orchestrator named"),
        (("--policy", "fs.yaml:chatt"), "no deployment is named chatt"),
        (("--policy", "fs.yaml:market"), "say on which date the trace starts: --starts"),
        (("--trace", "none.csv"), "none.csv: no such file or directory"),
        (("--days", "3"), "has no day 3"),
        (("--days", "one"), "is no list of numbers"),
        (("--report", "none/report.html"), "none/report.html"),
    ],
)
def test_what_is_wrong_is_one_line_and_2(fs, argv, told):
    ran = fs(*BURST, *argv)
    assert ran.returncode == 2
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("fs: try: ")]
    assert len(lines) == 1
    assert told in lines[0]
    assert "Traceback" not in ran.stderr


def test_a_policy_with_windows_on_a_date(fs):
    ran = fs(*BURST, "--policy", "fs.yaml:market", "--starts", "2026-11-03", "--timezone", "America/New_York")
    assert ran.returncode == 0, ran.stderr


def test_a_report(fs, folder):
    ran = fs(*BURST, "--report", "report.html")
    assert ran.returncode == 0, ran.stderr
    assert (folder / "report.html").read_text().count("<svg") == 3


def ledger(folder: Path, *rows: tuple[str, str, str, float, float | None]) -> None:
    requests = [
        Request(str(n), str(n), tenant, deployment, "127.0.0.1:1", 200, outcome, started_s, duration_s, 0.1)
        for n, (tenant, deployment, outcome, started_s, duration_s) in enumerate(rows)
    ]
    folder.mkdir()
    book = Ledger(folder)
    anyio.run(book.add, requests)
    book.close()


def test_what_was_served_becomes_a_trace_that_can_be_simulated(fs, folder):
    ledger(
        folder / "state",
        ("research", "chat", "complete", 1774962003.5, 2.25),
        ("ops", "chat", "complete", 1774962001.25, 1.5),
        ("ops", "other", "complete", 1774962002.0, 1.5),
        ("ops", "chat", "failed", 1774962002.5, 0.01),
        ("ops", "chat", "client_closed", 1774962002.75, None),
        ("ops", "chat", "complete", 1774962001.25, 1.5),
    )
    ran = fs("trace", "record", "--state", "state", "--deployment", "chat", "--save", "served.csv")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "3 requests, 2 left out\n"
    with (folder / "served.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["arrival_s"], row["tenant"]) for row in rows] == [
        ("1774962001.250000", "ops"),
        ("1774962001.250000", "ops"),
        ("1774962003.500000", "research"),
    ]
    simulated = fs("simulate", "--policy", "fs.yaml:market", "--trace", "served.csv", "-o", "json")
    assert simulated.returncode == 0, simulated.stderr
    assert json.loads(simulated.stdout)["trace"]["requests"] == 3


def test_many_of_one_moment_stay_as_many(fs, folder):
    twin, other = ("ops", "chat", "complete", 1774962001.25, 40.0), ("ops", "chat", "complete", 1774962001.25, 39.5)
    ledger(folder / "state", twin, other, twin, twin, other)
    ran = fs("trace", "record", "--state", "state", "--save", "served.csv")
    assert ran.returncode == 0, ran.stderr
    simulated = fs("simulate", "--policy", "fs.yaml:market", "--trace", "served.csv", "-o", "json")
    assert simulated.returncode == 0, simulated.stderr
    assert json.loads(simulated.stdout)["trace"]["requests"] == 5


def test_recording_overwrites_nothing_and_needs_a_ledger(fs, folder):
    ran = fs("trace", "record", "--state", "state", "--save", "served.csv")
    assert ran.returncode == 2
    assert "nothing was served from this state folder yet" in ran.stderr
    ledger(folder / "state", ("ops", "chat", "complete", 1774962001.25, 1.5))
    (folder / "served.csv").write_text("mine")
    ran = fs("trace", "record", "--state", "state", "--save", "served.csv")
    assert ran.returncode == 2
    assert "served.csv: is there already" in ran.stderr
    assert (folder / "served.csv").read_text() == "mine"
    assert fs("trace", "record", "--state", "state").stdout.splitlines()[0] == "arrival_s,tenant,service_s"
