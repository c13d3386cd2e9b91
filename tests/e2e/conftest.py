import os
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from tabulate import tabulate

from .faults import HEADER, is_well
from .stand import Stand
from .waiting import wait_until

REPLICAS = 2
CAP = 4
RAY_OPTIONS = {"health_check_period_s": 1, "health_check_timeout_s": 5, "drain_timeout_s": 20}

FAULTS = pytest.StashKey[list[tuple[str, ...]]]()


@pytest.fixture
def stand() -> Iterator[Stand]:
    """A stand for one test: nothing runs yet; `fs down` must remove all of it afterwards."""
    with closing(Stand()) as stand:
        yield stand


@pytest.fixture(scope="session")
def on_ray() -> Iterator[Stand]:
    """A stand that serves two replicas on a Ray cluster of its own, which takes a while to start."""
    if not find_spec("ray"):
        pytest.skip("ray is not installed")
    with closing(Stand("on-ray")) as stand:
        stand.write(
            backend="ray",
            backends={"ray": {"orchestrator": "ray", **RAY_OPTIONS}},
            replicas=REPLICAS,
            engine_options={"token_interval_s": 0.05},
            tenants=[
                {"name": "default", "deployment": "chat"},
                {"name": "capped", "deployment": "chat", "max_ongoing_requests": CAP},
            ],
        )
        stand.serve(deadline_s=300)
        wait_until(lambda: is_well(stand.live(), REPLICAS), 120, "two replicas ready")
        yield stand


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FAULTS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash[FAULTS]
    if not lines:
        return
    table = tabulate(lines, headers=HEADER, tablefmt="simple", disable_numparse=True)
    terminalreporter.section("faults under a steady load of streams")
    terminalreporter.write_line(table)
    if report := os.environ.get("FS_FAULT_REPORT"):
        Path(report).write_text(table + "\n")
