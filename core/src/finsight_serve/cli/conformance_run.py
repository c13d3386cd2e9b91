"""The public conformance kit over one installed plugin, in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from ..errors import UserError
from .conformance_recorder import TO_ENV

Outcome = Literal["passed", "lacking", "skipped", "failed"]
"""`lacking`: skipped, since the plugin says that it lacks what is checked, and why."""

POLL_S = 0.1
LAST_LINES = 5
NEEDED = ("pytest", "hypothesis")
CHECKS, SUBJECT = "test_conformance.py", "subject.json"
MODULE = """\
import json
from pathlib import Path

import pytest

from finsight_serve.host import Host
from finsight_serve.testing import {kit}, find_free_port

SUBJECT = json.loads(Path(__file__).with_name("{subject}").read_text())


class TestInstalled({kit}):
    @pytest.fixture
    def plugin(self):
        return Host().load(SUBJECT["kind"], SUBJECT["plugin"])

    @pytest.fixture
    def options(self):
        free = {{name: f"127.0.0.1:{{find_free_port()}}" for name in SUBJECT["on_free_ports"]}}
        return {{**SUBJECT["options"], **free}}

    @pytest.fixture
    def other_options(self, options):
        return {{**options, **SUBJECT["other"]}}

    @pytest.fixture
    def replica_host(self):
        return SUBJECT["replica_host"]

    @pytest.fixture
    def deadline_s(self):
        return SUBJECT["deadline_s"]
"""


@dataclass(frozen=True)
class Subject:
    """What is checked, and how."""

    name: str  # as it was asked for
    kind: Literal["orchestrator", "load_balancer"]
    plugin: str
    options: Mapping[str, Any]
    kit: str  # of the kit's classes
    deadline_s: float
    on_free_ports: tuple[str, ...] = ()  # options in whose place each check gets a free address on loopback
    other: Mapping[str, Any] = field(default_factory=dict)  # in what a second owner's options differ
    replica_host: str = "127.0.0.1"  # an address of this machine, where a load balancer reaches the kit's replicas


@dataclass(frozen=True)
class Check:
    check: str
    outcome: Outcome
    why: str
    duration_s: float


def require_kit() -> None:
    """Raises `UserError`."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(
            f"the conformance kit needs {' and '.join(missing)}: pip install 'finsight-serve[testing]' brings them"
        )


def run_checks(subject: Subject) -> Iterator[Check]:
    """Each as it ends; one that fails in its tear-down counts once more. Raises `UserError` where none can be run."""
    with TemporaryDirectory(prefix="fs-conformance-") as scratch:
        folder = Path(scratch)
        (folder / CHECKS).write_text(MODULE.format(kit=subject.kit, subject=SUBJECT))
        (folder / SUBJECT).write_text(json.dumps(_described(subject)))  # the folder is readable by its owner only
        (folder / "pytest.ini").write_text("[pytest]\n")
        record, log = folder / "record", folder / "log"
        record.touch()
        count = 0
        with _pytest(folder, record, log) as process:
            for line in _lines(record, process):
                count += 1
                yield Check(**json.loads(line))
        if count == 0 or process.returncode not in (0, 1):
            last = log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
            raise UserError("\n".join([f"the checks of {subject.name} can't be run:", *last]))


def _described(subject: Subject) -> Mapping[str, Any]:
    return {
        "kind": subject.kind,
        "plugin": subject.plugin,
        "options": dict(subject.options),
        "deadline_s": subject.deadline_s,
        "on_free_ports": list(subject.on_free_ports),
        "other": dict(subject.other),
        "replica_host": subject.replica_host,
    }


@contextmanager
def _pytest(folder: Path, record: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """In this process's group: Ctrl-C reaches it too, and it takes down what its checks have started."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "finsight_serve.cli.conformance_recorder"]
    argv += ["-p", "no:cacheprovider", "--basetemp", str(folder / "tmp"), str(folder / CHECKS)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment(record)
        )
        try:
            yield process
        finally:
            process.wait()


def _environment(record: Path) -> Mapping[str, str]:
    return {**os.environ, TO_ENV: str(record), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}


def _lines(record: Path, process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Whole lines, until the process has ended."""
    with record.open(encoding="utf-8") as file:
        rest = ""
        while True:
            ended = process.poll() is not None  # asked first, so that its last lines are read
            rest += file.read()
            *whole, rest = rest.split("\n")
            yield from whole
            if ended:
                return
            time.sleep(POLL_S)
