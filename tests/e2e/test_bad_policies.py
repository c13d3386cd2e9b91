# ruff: noqa: E501
# (a table of mistakes reads best with one to a line)
"""A policy that makes no sense, told by `fs validate` in one line: what, where, what to do; exit code 2, nothing made."""

import os
import subprocess
from pathlib import Path

import pytest

from .run_fs import run_fs
from .stand import Stand

GOOD = """\
name: bad
backend: local
load_balancer: nginx
deployments:
  - name: chat
    model: sim-model
    engine: sim
    policy:
      min_replicas: 2
      max_replicas: 4
      schedule:
        - name: market-hours
          calendar: {exchange: XNYS, start: "09:00", end: "16:00", timezone: America/New_York}
          min_replicas: 3
"""
FIELDS = {  # what is written instead; the line; what the line says
    "unknown field": ("min_replicas: 2", "min_replica: 2", 9, "policy.min_replica: unknown key; did you mean min_replicas?"),
    "min above max": ("max_replicas: 4", "max_replicas: 1", 10, "policy.max_replicas: must be at least min_replicas (2), found 1"),
    "negative delay": ("max_replicas: 4", "upscale_delay_s: -5", 10, "policy.upscale_delay_s: must be at least 0, found -5"),
    "target 0": ("max_replicas: 4", "target_ongoing_requests: 0", 10, "policy.target_ongoing_requests: must be greater than 0, found 0"),
    "smoothing 0": ("max_replicas: 4", "smoothing_factor: 0", 10, "policy.smoothing_factor: must be greater than 0, found 0"),
    "on_signal_loss": ("max_replicas: 4", "on_signal_loss: hald", 10, 'policy.on_signal_loss: must be hold, floor or a whole number, found "hald"; did you mean hold?'),
    "end = start": ('end: "16:00"', 'end: "09:00"', 13, "policy.schedule[0].calendar.end: must differ from start, found 09:00 twice"),
    "unknown calendar": ("XNYS", "XNYX", 13, "policy.schedule[0].calendar.exchange: "),
    "unknown zone": ("America/New_York", "America/NewYork", 13, "policy.schedule[0].calendar.timezone: no IANA time zone is named America/NewYork"),
    "floor above max": ("min_replicas: 3", "min_replicas: 5", 14, "policy.schedule[0].min_replicas: must be at most max_replicas (4), found 5"),
    "two ways to say when": ("min_replicas: 3", 'weekly: {start: "09:00", end: "16:00", timezone: UTC}', 12, "policy.schedule[0]: say when: exactly one of calendar, weekly and cron"),
    "nothing holds": ("          min_replicas: 3\n", "", 12, "policy.schedule[0]: say what holds: a policy, min_replicas or max_replicas"),
}  # fmt: skip

REFERENCE = GOOD[: GOOD.index("    policy:")] + "    policy: desk:DEFAULT\n"
POLICY = "from finsight_serve.policy import AutoscalingPolicy\n"
MODULES = {  # the source of desk.py; what the line says
    "raises": (POLICY + "DEFAULT = AutoscalingPolicy(min_replicas=3)", "desk raises when it is imported: FieldError: max_replicas: must be at least min_replicas (3), found 1 (desk.py:2)"),
    "is not a policy": ("DEFAULT = 4", "desk:DEFAULT is of type int, not an AutoscalingPolicy"),
    "takes forever": ("while True: pass", "desk takes more than 3 s to import, and was stopped (FS_POLICY_TIMEOUT_S sets the limit)"),
    "exits": ("print('bye')\nraise SystemExit", "desk exits when it is imported: SystemExit (desk.py:2)"),
    "has no such name": (POLICY + "DEFALT = AutoscalingPolicy()", "desk has no DEFAULT; did you mean DEFALT?"),
    "is missing": (None, "no module named desk: looked in {folder} and on the Python path"),
}  # fmt: skip


def validate(stand: Stand, **env: str) -> "subprocess.CompletedProcess[str]":
    known = {**stand.env, "FS_STATE_DIR": str(stand.state), **env}
    return run_fs("validate", "--file", str(stand.file), cwd=Path("/"), env=known)


def complaint(stand: Stand, **env: str) -> str:
    """The one line, without the file's name. Checks that nothing was made."""
    before = listing(stand.folder)
    done = validate(stand, **env)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert listing(stand.folder) == before and not stand.state.exists()
    stand.assert_nothing_runs()
    start = f"fs: {stand.file}:"
    assert line.startswith(start)
    return line.removeprefix(start)


def listing(folder: Path) -> list[str]:
    return sorted(os.path.join(place, name) for place, folders, files in os.walk(folder) for name in folders + files)


@pytest.mark.alike(4)
@pytest.mark.parametrize("mistake", FIELDS)
def test_a_mistake_in_a_policys_fields(stand: Stand, mistake: str) -> None:
    old, new, number, message = FIELDS[mistake]
    assert old in GOOD
    stand.file.write_text(GOOD.replace(old, new, 1))
    assert complaint(stand).startswith(f"{number}: deployments[0].{message}")


def test_an_unknown_calendar_is_met_with_the_nearest(stand: Stand) -> None:
    stand.file.write_text(GOOD.replace("XNYS", "XNYX"))
    assert "XNYS" in complaint(stand)


@pytest.mark.alike(3)
@pytest.mark.parametrize("mistake", MODULES)
def test_a_python_policy_that_can_not_be_read(stand: Stand, mistake: str) -> None:
    source, message = MODULES[mistake]
    stand.file.write_text(REFERENCE)
    if source is not None:
        (stand.folder / "desk.py").write_text(source)
    line = complaint(stand, FS_POLICY_TIMEOUT_S="3" if "while" in (source or "") else "60")
    assert line == f"8: deployments[0].policy: {message.format(folder=stand.folder)}"


def test_a_limit_that_is_no_number(stand: Stand) -> None:
    stand.file.write_text(REFERENCE)
    line = complaint(stand, FS_POLICY_TIMEOUT_S="soon")
    assert line.endswith("FS_POLICY_TIMEOUT_S: must be a number of seconds greater than 0, found soon")


def test_the_same_file_without_the_mistake_is_accepted(stand: Stand) -> None:
    stand.file.write_text(REFERENCE)
    (stand.folder / "desk.py").write_text(POLICY + "print('hello')\nDEFAULT = AutoscalingPolicy(max_replicas=4)\n")
    done = validate(stand)
    assert (done.returncode, done.stderr) == (0, "") and "1-4" in done.stdout and "hello" not in done.stdout
    assert listing(stand.folder) == [str(stand.folder / name) for name in ("desk.py", "fs.yaml")]
