"""`fs policy explain` as a person runs it. Expected times are from the New York Stock Exchange's published hours."""

import json
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from finsight_serve.controller.memory import documents
from finsight_serve.controller.state import Durable, State
from finsight_serve.host import Host
from finsight_serve.stack import load_stack
from finsight_serve.store import Store

from .run_fs import run_fs

MARKET = """\
        - name: market-hours
          calendar: {exchange: XNYS, start: "09:00", end: "16:00", timezone: America/New_York}
          policy: {min_replicas: 2, max_replicas: 4}
          lead_s: measured
"""
NIGHT = """\
        - {name: night, weekly: {start: "22:00", end: "02:00", timezone: America/New_York}, max_replicas: 2}
"""
SVG = "{http://www.w3.org/2000/svg}"


def stack(windows: str) -> str:
    return f"""\
name: explained
backend: local
load_balancer: nginx
deployments:
  - name: chat
    model: sim-model
    engine: sim
    policy:
      min_replicas: 1
      max_replicas: 4
      smoothing_factor: 0.5
      schedule:
{windows}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fs.yaml").write_text(stack(MARKET + NIGHT))
    return tmp_path


def explain(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return run_fs("policy", "explain", "--state", str(folder / "state"), *options, cwd=folder, timeout_s=60)


def explained(folder: Path, *options: str) -> dict[str, Any]:
    done = explain(folder, "-o", "json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


@pytest.mark.alike(3)
@pytest.mark.parametrize(
    ("at", "floor", "ceiling", "why"),
    [
        ("2026-11-24T12:00", 2, 4, "market-hours is open: its policy holds"),
        ("2026-11-26T12:00", 1, 4, "no window is open; XNYS: no session (Thanksgiving) on Thu 2026-11-26"),
        ("2026-11-27T12:59", 2, 4, "market-hours is open: its policy holds"),
        ("2026-11-27T13:00", 1, 4, "no window is open"),
        ("2026-11-24T23:00", 1, 2, "night lowers the ceiling"),
        ("2026-03-09T13:00Z", 2, 4, "market-hours is open: its policy holds"),
        ("2026-11-02T13:00Z", 1, 4, "no window is open"),
        ("2027-12-31T12:00", 2, 4, "market-hours is open: its policy holds"),
    ],
)
def test_what_holds_and_why(folder: Path, at: str, floor: int, ceiling: int, why: str) -> None:
    situation = explained(folder, "--at", at)["situation"]
    assert (situation["floor"], situation["ceiling"], situation["why"]) == (floor, ceiling, why)
    assert not (folder / "state").exists()


def test_the_cut_overs_in_local_time_and_utc(folder: Path) -> None:
    found = explained(folder, "--from", "2026-11-26", "--to", "2026-11-27T20:00", "--cold-start", "90")
    assert [(row["day"], row["at"], row["utc"], row["why"], row["changes"]) for row in found["cut-overs"]] == [
        ("Thu", "2026-11-26T02:00:00-05:00", "2026-11-26T07:00:00Z", "night closes", "max_replicas 2 → 4"),
        ("Thu", "2026-11-26T22:00:00-05:00", "2026-11-27T03:00:00Z", "night opens", "max_replicas 4 → 2"),
        ("Fri", "2026-11-27T02:00:00-05:00", "2026-11-27T07:00:00Z", "night closes", "max_replicas 2 → 4"),
        (
            "Fri",
            "2026-11-27T08:58:30-05:00",
            "2026-11-27T13:58:30Z",
            "market-hours raises its floor ahead of its opening",
            "min_replicas 1 → 2",
        ),
        (
            "Fri",
            "2026-11-27T09:00:00-05:00",
            "2026-11-27T14:00:00Z",
            "market-hours opens",
            "smoothing_factor 0.5 → 1.0",
        ),
        (
            "Fri",
            "2026-11-27T13:00:00-05:00",
            "2026-11-27T18:00:00Z",
            "market-hours closes (early close at 13:00)",
            "min_replicas 2 → 1, smoothing_factor 1.0 → 0.5",
        ),
    ]
    bounds = [(row["floor"], row["ceiling"]) for row in found["floor and ceiling"]]
    assert bounds == [(1, 2), (1, 4), (1, 2), (1, 4), (2, 4), (2, 4), (1, 4)]


def test_the_lead_is_the_cold_start_that_was_measured(folder: Path) -> None:
    (folder / "state").mkdir()
    stack = load_stack(folder / "fs.yaml", Host())
    durable = Durable(stack=stack, cold_starts_s={"chat": (40.0, 60.0, 50.0)})
    with closing(Store(folder / "state")) as store:
        store.write_now(documents(State(durable=durable)))
    found = explained(folder, "--at", "2026-11-24T08:59:00")
    assert found["situation"]["why"] == "market-hours raises the floor to 2 ahead of its opening at 09:00"
    assert found["situation"]["measured lead_s"] == 60.0
    assert [row["state"] for row in found["windows"]] == ["leads"]
    assert explained(folder, "--at", "2026-11-24T08:58:59")["situation"]["floor"] == 1
    assert explained(folder, "--at", "2026-11-24T08:59:00", "--cold-start", "30")["situation"]["floor"] == 1


def test_for_people_there_is_a_picture(folder: Path) -> None:
    done = explain(folder, "--at", "2026-11-27T10:00")
    assert done.returncode == 0
    for words in ("market-hours  open", "early close at 13:00", "next cut-over", "## floor", "-- ceiling"):
        assert words in done.stdout
    assert "no cold start is measured yet; --cold-start S sets one" in done.stdout
    assert "\x1b" not in done.stdout


def test_an_svg_with_words_in_it(folder: Path) -> None:
    done = explain(folder, "--from", "2026-11-26T03:00", "--to", "2026-11-28", "--svg", "bounds.svg")
    assert done.returncode == 0, done.stderr
    root = ElementTree.parse(folder / "bounds.svg").getroot()
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "Floor and ceiling of fs.yaml"
    assert root.findtext(f"{SVG}desc") == (
        "Floor 1, ceiling 4 until Thu 2026-11-26 22:00 EST. Floor 1, ceiling 2 until Fri 2026-11-27 02:00 EST. "
        "Floor 1, ceiling 4 until Fri 2026-11-27 09:00 EST. Floor 2, ceiling 4 until Fri 2026-11-27 13:00 EST. "
        "Floor 1, ceiling 4 until Fri 2026-11-27 22:00 EST. Floor 1, ceiling 2 until Sat 2026-11-28 00:00 EST."
    )
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"floor", "ceiling", "replicas", "America/New_York"} <= texts
    styles = " ".join(part.get("style", "") for part in root.iter())
    assert "fill: #757575" in styles
    assert not any(shade in styles for shade in ("#000000", "#ffffff", "fill: black", "fill: white"))


def test_a_policy_of_a_python_module(folder: Path) -> None:
    (folder / "policies.py").write_text(
        "from finsight_serve.policy import AutoscalingPolicy, market_hours\n"
        "BUSY = AutoscalingPolicy(min_replicas=3, max_replicas=4)\n"
        'DAILY = AutoscalingPolicy(max_replicas=4, schedule=(market_hours("XLON", policy=BUSY),))\n'
    )
    found = explained(folder, "--policy", "policies:DAILY", "--at", "2026-12-24T12:29")
    assert found["situation"]["floor"] == 3
    assert found["situation"]["next cut-over"] == "2026-12-24T12:30:00+00:00"


@pytest.mark.alike(2)
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--at", "1850-01-01"],
            "--at: 1850-01-01 is outside the days that can be explained (1970-01-01 to 2099-12-31)",
        ),
        (
            ["--at", "2200-01-01"],
            "--at: 2200-01-01 is outside the days that can be explained (1970-01-01 to 2099-12-31)",
        ),
        (["--at", "9 o'clock"], "--at: must be a date or time as 2026-11-27 or 2026-11-27T12:30, found 9 o'clock"),
        (["--at", "2026-01-01", "--from", "2026-01-01"], "--at and --from: give one of them"),
        (
            ["--from", "2026-01-02", "--to", "2026-01-01"],
            "--to: must be after --from and within 366 days of it, found 2026-01-01",
        ),
        (["--deployment", "chta"], "fs.yaml:chta: no deployment is named chta; did you mean chat?"),
        (["--policy", "fs.yaml:chat", "-f", "fs.yaml"], "--policy names one policy: leave out -f and --deployment"),
    ],
)
def test_bad_options_are_one_line(folder: Path, options: list[str], line: str) -> None:
    done = explain(folder, *options, "--svg", "never.svg")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"fs: {line}\n")
    assert not (folder / "never.svg").exists()


@pytest.mark.alike(2)
@pytest.mark.parametrize(
    ("window", "words"),
    [
        ("calendar: {exchange: XNYSE}", "no exchange calendar is named XNYSE; did you mean XNYS?"),
        ('weekly: {start: "09:00", end: "09:00", timezone: UTC}', "must differ from start"),
        ('weekly: {start: "09:00", end: "10:00", timezone: Mars/Base}', "no IANA time zone is named Mars/Base"),
        ('cron: {start: "0 25 * * *", end: "0 9 * * *", timezone: UTC}', "bad hour in 0 25 * * *"),
    ],
)
def test_a_bad_window_is_one_line(folder: Path, window: str, words: str) -> None:
    (folder / "fs.yaml").write_text(stack(f"        - {{min_replicas: 2, {window}}}\n"))
    done = explain(folder)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("fs: fs.yaml:13: ") and words in line


def test_a_day_after_the_last_that_a_calendar_knows(folder: Path) -> None:
    (folder / "fs.yaml").write_text(stack("        - {min_replicas: 2, calendar: {exchange: XHKG}}\n"))
    done = explain(folder, "--at", "2051-03-01")
    assert (done.returncode, done.stdout) == (2, "")
    expected = "--at: 2051-03-01 is outside the days that the calendar of XHKG knows (1970-01-01 to 2049-12-31)"
    assert done.stderr == f"fs: {expected}\n"
