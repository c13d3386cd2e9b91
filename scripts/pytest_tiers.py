"""A pytest plugin: what each tier ran, skipped and took; FS_REQUIRE_TIERS=… fails a tier that lacks something.

A failure is printed when it happens, so that a run that is cut off tells what it knew.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

import pytest

BY_DESIGN = re.compile(r"[a-z0-9-]+ lacks [a-z_]+: ")
"""How the conformance kit skips what a plugin says it can't do: nothing is missing on this machine."""
TIERS = ("unit", "contract", "integration", "e2e", "cluster")


class Tiers:
    def __init__(self, required: Iterable[str], config: pytest.Config) -> None:
        self.required, self._config = tuple(required), config
        self.left_out: Counter[str] = Counter()
        self.ran: Counter[str] = Counter()
        self.skipped: dict[str, Counter[str]] = {}
        self.by_design: Counter[str] = Counter()
        self.lasted_s: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        tier = find_tier(report.nodeid)
        self.lasted_s[tier] += report.duration
        if report.skipped and not hasattr(report, "wasxfail"):
            why = reason(report.longrepr)
            if BY_DESIGN.match(why):
                self.by_design[tier] += 1
            else:
                self.skipped.setdefault(tier, Counter())[why] += 1
        elif report.when == "call":
            self.ran[tier] += 1
        if report.failed:
            reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
            reporter.write_line(f"\n{report.nodeid} failed ({report.when}):\n{report.longreprtext}", red=True)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.left_out.update(find_tier(item.nodeid) for item in items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.setdefault(find_tier(report.nodeid), Counter())[reason(report.longrepr)] += 1

    @property
    def lacking(self) -> list[str]:
        return [tier for tier in self.required if not self.ran[tier] or self.skipped.get(tier)]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.lacking and not session.config.option.collectonly:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("tiers")
        for tier in TIERS:
            skipped = self.skipped.get(tier, Counter())
            if self.ran[tier] or skipped or tier in self.required:
                lacks = f", {self.by_design[tier]} not for what a plugin lacks" if self.by_design[tier] else ""
                left_out = f", {self.left_out[tier]} left out" if self.left_out[tier] else ""
                terminalreporter.line(
                    f"{tier}: {self.ran[tier]} ran, {skipped.total()} skipped{lacks}{left_out}, "
                    f"{self.lasted_s[tier]:.0f} s"
                )
            for why, count in skipped.items():
                terminalreporter.line(f"  {count} skipped: {why}")
        if self.lacking:
            terminalreporter.line(f"required here, and not run whole: {', '.join(self.lacking)}", red=True)


def find_tier(nodeid: str) -> str:
    parts = PurePath(nodeid.partition("::")[0]).parts
    return parts[1] if len(parts) > 1 and parts[0] == "tests" and parts[1] in TIERS else "unit"


def reason(skip: object) -> str:
    text = str(skip[2]) if isinstance(skip, tuple) else str(skip)
    return text.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    required = [tier for tier in os.environ.get("FS_REQUIRE_TIERS", "").split(",") if tier]
    config.pluginmanager.register(Tiers(required, config), "tiers")
