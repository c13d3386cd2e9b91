import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from tabulate import tabulate

from . import moving
from .faults import HEADER, is_well
from .stand import Stand
from .waiting import wait_until

REPLICAS = 2
CAP = 4
RAY_OPTIONS = {"health_check_period_s": 1, "health_check_timeout_s": 5, "drain_timeout_s": 20}

FAULTS = pytest.StashKey[list[tuple[str, ...]]]()
MIGRATIONS = pytest.StashKey[list[tuple[str, ...]]]()
TOUCHED = pytest.StashKey[list[tuple[str, ...]]]()
TOUCHED_HEADER = ("the destination", "left by its limit", "requests in all", "of it", "failed", "truncated")


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
    config.stash[MIGRATIONS] = []
    config.stash[TOUCHED] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for title, header, lines, report in (
        ("faults under a steady load of streams", HEADER, config.stash[FAULTS], "FS_FAULT_REPORT"),
        ("killed while a tenant was moved", moving.HEADER, config.stash[MIGRATIONS], "FS_MIGRATION_REPORT"),
        ("requests that a bad destination had", TOUCHED_HEADER, config.stash[TOUCHED], "FS_LIMIT_REPORT"),
    ):
        if not lines:
            continue
        table = tabulate(lines, headers=header, tablefmt="simple", disable_numparse=True)
        terminalreporter.section(title)
        terminalreporter.write_line(table)
        if path := os.environ.get(report):
            Path(path).write_text(table + "\n")


@pytest.hookimpl(tryfirst=True)  # before those marked `long` are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seen: Counter[str] = Counter()
    for item in items:
        alike = item.get_closest_marker("alike")
        if alike:
            test = item.nodeid.partition("[")[0]
            seen[test] += 1
            if seen[test] > alike.args[0]:
                item.add_marker(pytest.mark.long)
