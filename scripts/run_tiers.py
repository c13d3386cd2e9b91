"""Runs test tiers by pytest: two at a time where whole stacks are among them, since those wait more than they work."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_tiers import TIERS

OF_STACKS = frozenset({"e2e", "cluster"})
LINE_CHARS = 240
SLOWEST = ("--durations=40", "--durations-min=10")


def plan_lanes(tiers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By its name, the tiers of each lane; a lane's tiers come one after the other."""
    ordered = [tier for tier in TIERS if tier in tiers]
    lanes = {
        "parts": tuple(tier for tier in ordered if tier not in OF_STACKS),
        "stacks": tuple(tier for tier in ordered if tier in OF_STACKS),
    }
    return {name: lane for name, lane in lanes.items() if lane}


def paths(tiers: Sequence[str]) -> list[str]:
    own = [str(path) for path in sorted(Path("plugins").glob("*/tests"))] if "unit" in tiers else []
    return own + [f"tests/{tier}" for tier in tiers]


def start(tiers: Sequence[str], options: Sequence[str], *, piped: bool) -> "subprocess.Popen[str]":
    required = [tier for tier in os.environ.get("FS_REQUIRE_TIERS", "").split(",") if tier in tiers]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "pytest_tiers", *SLOWEST, *options, *paths(tiers)],
        env={**os.environ, "PYTHONPATH": "scripts", "FS_REQUIRE_TIERS": ",".join(required)},
        stdout=subprocess.PIPE if piped else None,
        stderr=subprocess.STDOUT if piped else None,
        text=True,
    )


def pass_on(name: str, process: "subprocess.Popen[str]") -> tuple[int, list[str]]:
    """Each line under the lane's name; what it ended with, and pytest's own lines of what failed."""
    failed = []
    for line in process.stdout or ():
        sys.stdout.write(f"{name:7}{line}")
        sys.stdout.flush()
        if line.startswith(("FAILED ", "ERROR ")):
            failed.append(line.strip())
    return process.wait(), failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__)
    parser.add_argument("tiers", nargs="*", metavar="TIER", help=f"of {', '.join(TIERS)}; all by default")
    parser.add_argument("--all", action="store_true", help="those marked `long` too")
    asked = parser.parse_args()
    if unknown := set(asked.tiers) - set(TIERS):
        parser.error(f"no tier is named {', '.join(sorted(unknown))}; there are {', '.join(TIERS)}")
    # of a job that a shell put in the background Ctrl-C is ignored, and of all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lanes = plan_lanes(asked.tiers or TIERS)
    running = {
        name: start(tiers, ["-m", ""] if asked.all else [], piped=len(lanes) > 1) for name, tiers in lanes.items()
    }
    try:
        with ThreadPoolExecutor() as pool:
            ended = list(pool.map(pass_on, running.keys(), running.values()))
    finally:
        for process in running.values():
            process.terminate()
    # once more where a log that was cut to its end still has it
    for line in [line for _, failed in ended for line in failed]:
        print(line[:LINE_CHARS])
    return max(code for code, _ in ended)


if __name__ == "__main__":
    sys.exit(main())
