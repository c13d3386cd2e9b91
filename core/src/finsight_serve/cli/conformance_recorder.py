"""A pytest plugin that tells how each check of the conformance kit went: a line of JSON each, as it goes.

It is loaded into the process that runs the checks, by `conformance_run`.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

TO_ENV = "FS_CONFORMANCE_RECORD"
"""The file that the lines are appended to."""
LONGEST = 400
LACKING = re.compile(r"[a-z0-9-]+ lacks [a-z_]+: ")
"""So the kit begins the reason of a check that it skips for what a plugin says in its own `lacks`."""


def pytest_runtest_logreport(report: Any) -> None:
    """A check passes by its call; whatever else fails or is skipped says why."""
    if report.when != "call" and report.passed:
        return
    why, duration_s = _why(report), round(report.duration, 2)
    outcome = "lacking" if report.skipped and LACKING.match(why) else report.outcome
    line = {"check": _name(report.nodeid), "outcome": outcome, "why": why, "duration_s": duration_s}
    with Path(os.environ[TO_ENV]).open("a", encoding="utf-8") as record:
        record.write(json.dumps(line) + "\n")


def _name(nodeid: str) -> str:
    """ "…::TestInstalled::test_scaling_keeps_replicas" → "scaling_keeps_replicas" """
    return str(nodeid.rpartition("::")[2]).removeprefix("test_")


def _why(report: Any) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = " ".join(str(crash.message if crash else report.longrepr).split())
        return text[:LONGEST] + ("" if report.when == "call" else f" (in {report.when})")
    return ""
