"""`fs policy lint`, `fs policy tune` and `fs bench capacity` as a person runs them: what they print, and exit codes."""

import json
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from finsight_serve.testing.real_env import find_free_port

from .run_fs import run_fs

POLICY = """\
from finsight_serve.policy import AutoscalingPolicy

SOUND = AutoscalingPolicy(min_replicas=1, max_replicas=4, target_ongoing_requests=8, upscale_delay_s=30,
                          downscale_delay_s=600, smoothing_factor=0.5)
HASTY = AutoscalingPolicy(min_replicas=1, max_replicas=4, target_ongoing_requests=2, upscale_delay_s=0,
                          downscale_delay_s=20, upscaling_factor=4.0, look_back_period_s=5)
HUGE = AutoscalingPolicy(min_replicas=1, max_replicas=1000)
"""
STACK = """\
name: tuned
# a comment that stays
deployments:
  - name: chat
    model: m
    policy:
      min_replicas: 1
      max_replicas: 4
      target_ongoing_requests: 14 # and this one
      upscale_delay_s: 60
"""
REPLICA = ("--service-s", "4", "--max-concurrency", "8", "--cold-start-s", "60")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies.py").write_text(POLICY)
    (tmp_path / "fs.yaml").write_text(STACK)
    (tmp_path / "load.csv").write_text("arrival_s\n" + "".join(f"{at_s:.3f}\n" for at_s in arrivals(days=2)))
    return tmp_path


def arrivals(days: int) -> Iterator[float]:
    """A swell of a quarter of an hour each hour from 9 to 16, up to 4 requests/s; worked out, not drawn."""
    for day in range(days):
        for hour in range(9, 16):
            start_s = day * 86400 + hour * 3600
            owed = 0.0
            for passed_s in range(900):
                owed += 4 * math.sin(math.pi * passed_s / 900) ** 2
                due, owed = int(owed), owed % 1
                yield from (start_s + passed_s + index / due for index in range(due))


def fs(folder: Path, *argv: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return run_fs(*argv, cwd=folder, env=env, timeout_s=300)


def test_lint_shows_findings_with_evidence_and_exits_with_0(folder: Path) -> None:
    done = fs(folder, "policy", "lint", "--policy", "policies:HASTY", *REPLICA, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    over = [one for one in found if "overshoots" in one["what"]]
    assert over and all("replicas were ordered" in one["evidence"] for one in over)
    assert {one["field"] for one in found} >= {"upscale_delay_s", "downscale_delay_s"}


def test_strict_exits_with_1_after_printing(folder: Path) -> None:
    done = fs(folder, "policy", "lint", "--policy", "policies:HASTY", "--strict", *REPLICA)
    assert (done.returncode, done.stderr) == (1, "")
    assert "overshoots" in done.stdout


def test_ten_thousand_a_day_do_not_fit_unless_measured(folder: Path) -> None:
    done = fs(folder, "policy", "lint", "--policy", "policies:SOUND", "--per-day", "10000", "--strict")
    assert done.returncode == 1
    assert "10,000 requests a day take 10 to 20 replicas" in done.stdout


def test_a_count_near_a_ceiling_names_where_to_migrate(folder: Path) -> None:
    done = fs(folder, "policy", "lint", "--policy", "policies:HUGE", "--backend", "ray")
    assert "beyond what ray is advised for (50 replicas)" in done.stdout
    assert "migrate tenants to k8s-keda" in done.stdout


def tune(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    common = ("--trace", "load.csv", "--starts", "2026-03-31", "--backend", "ray", "--trials", "25", *REPLICA)
    return fs(folder, "policy", "tune", *common, *options)


def test_tune_finds_a_better_policy_and_writes_a_patch_that_applies(folder: Path) -> None:
    done = tune(folder, "--policy", "fs.yaml", "--diff", "change.patch", "-o", "json")
    assert done.returncode == 0, done.stderr
    title = "the policy as it is, and the chosen one"
    waits = next(row for row in json.loads(done.stdout)[title] if row["metric"] == "p99_wait_s")
    assert waits["chosen, training"] < waits["as it is, training"]
    assert waits["chosen, validation"] < waits["as it is, validation"]
    assert "as it is: replica_hours" in done.stderr and "judging" in done.stderr
    subprocess.run(["patch", "-p1", "--input", "change.patch"], cwd=folder, check=True, capture_output=True)
    changed = (folder / "fs.yaml").read_text()
    assert "# a comment that stays" in changed and "# and this one" in changed and changed != STACK
    assert tune(folder, "--policy", "fs.yaml", "--trials", "1").returncode == 0


def test_one_seed_one_answer(folder: Path) -> None:
    runs = [tune(folder, "--policy", "policies:SOUND", "--seed", "3").stdout for _ in range(2)]
    assert runs[0] == runs[1] and "chosen" in runs[0]


@pytest.mark.alike(2)
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("lint", "--policy", "policies:NONE"), "NONE"),
        (("lint", "--policy", "policies:SOUND", "--backend", "rya"), "did you mean ray?"),
        (("lint", "--policy", "policies:SOUND", "--service", "absent.json"), "absent.json: No such file"),
        (("lint", "--policy", "policies:SOUND", "--service", "fs.yaml"), "`fs bench capacity --save FILE`"),
        (("lint", "--policy", "policies:SOUND", "--trace", "absent.csv"), "absent.csv"),
        (
            ("tune", "--policy", "policies:SOUND", "--trace", "load.csv", "--objective", "cheap"),
            "'cheap' is no objective",
        ),
        (
            ("tune", "--policy", "policies:SOUND", "--trace", "load.csv", "--train", "0", "--validate", "0"),
            "day 0 is both trained and judged on",
        ),
        (("tune", "--policy", "policies:SOUND", "--trace", "load.csv", "--train", "9"), "no day 9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_a_line_and_changes_nothing(folder: Path, argv: tuple[str, ...], said: str) -> None:
    before = sorted(folder.iterdir())
    done = fs(folder, "policy", *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.startswith("fs: ")
    assert [path for path in sorted(folder.iterdir()) if path.name != "__pycache__"] == before


def test_capacity_says_what_it_can_not_reach(folder: Path) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    done = fs(folder, "bench", "capacity", "--url", url, "--model", "m", "--slo", "p99_ttft_s<=1", FS_API_KEY="k")
    assert done.returncode == 2
    assert done.stderr.startswith("fs: a request alone failed: ConnectError")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.alike(2)
@pytest.mark.parametrize("slo", ["p99_ttft_s>=1", "p99_ttft_s<1", "p99_ttft_s<=0"])
def test_capacity_takes_a_limit_from_above_only(folder: Path, slo: str) -> None:
    done = fs(folder, "bench", "capacity", "--url", "http://x", "--model", "m", "--slo", slo)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fs: --slo: write p99_ttft_s<=SECONDS, greater than 0, found {slo}\n"


def test_a_file_that_can_not_be_written_is_told_before_anything_is_measured(folder: Path) -> None:
    limit = ("--slo", "p99_ttft_s<=1", "--save", "no/replica.json")
    done = fs(folder, "bench", "capacity", "--url", "http://x", "--model", "m", *limit)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fs: no/replica.json: no is no folder; make it first\n"


def test_capacity_takes_no_other_limit(folder: Path) -> None:
    done = fs(folder, "bench", "capacity", "--url", "http://x", "--model", "m", "--slo", "p50_ttft_s<=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no metric named p50_ttft_s; there are p99_ttft_s" in done.stderr
