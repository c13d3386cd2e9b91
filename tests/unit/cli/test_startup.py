"""What a person waits for most often imports nothing heavy; `make bench` says how long it takes."""

import subprocess
import sys

import pytest

HEAVY = {
    *("pydantic", "httpx", "ruamel", "stevedore", "anyio", "starlette", "uvicorn", "psutil"),
    *("prometheus_client", "cryptography"),
}


@pytest.mark.parametrize("argv", [["--help"], ["plugins", "list"]], ids=" ".join)
def test_imports_nothing_heavy(argv: list[str]) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "finsight_serve", *argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert loaded & HEAVY == set()
