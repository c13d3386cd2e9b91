"""What a person waits for most often is short: interpreter and imports included."""

import os
import subprocess
import sys
import time

import pytest

HEAVY = {"pydantic", "httpx", "ruamel", "stevedore", "anyio", "starlette", "uvicorn", "psutil", "prometheus_client"}
GOAL_S = 0.15


@pytest.mark.parametrize("argv", [["--help"], ["plugins", "list"]], ids=" ".join)
def test_imports_nothing_heavy(argv: list[str]) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "finsight_serve", *argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("argv", [["--help"], ["plugins", "list"]], ids=" ".join)
def test_answers_at_once(argv: list[str]) -> None:
    # byte code is compiled once per installation, and others share this machine: the best of a few is the truth
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(8):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "finsight_serve", *argv], capture_output=True, check=True, env=env)
        times.append(time.perf_counter() - started)
    assert min(times) < GOAL_S
