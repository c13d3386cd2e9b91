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
    loaded = imported("-m", "finsight_serve", *argv)
    assert "click" in loaded
    assert loaded & HEAVY == set()


def test_who_asks_a_controller_imports_no_server() -> None:
    loaded = imported("-c", "import finsight_serve.controller.client")
    assert "httpx" in loaded
    assert loaded & {"starlette", "uvicorn"} == set()


def imported(*argv: str) -> set[str]:
    done = subprocess.run([sys.executable, "-X", "importtime", *argv], capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
