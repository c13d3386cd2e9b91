"""The tables of docs/policy.md are what the code says and what the simulator finds."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("policy_tables", ROOT / "docs" / "policy_tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page() -> str:
    return (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")


def test_grades_are_the_compilers(tables: ModuleType, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (stands,) = tables.block("grades").findall(page)
    assert stands.strip() == tables.grades(), "make it again: python docs/policy_tables.py grades"


def test_reference_figures_hold(tables: ModuleType, page: str) -> None:
    """On the days that the tuned policy was not found on, with the table's own draws."""
    (stands,) = tables.block("reference").findall(page)
    listed = {(cells[0], cells[1]): cells for cells in rows(stands.partition("(judged)")[2])}
    simulated = tables.figures(tables.DAYS["judged"], tables.DRAWS, ("ray",))
    found = {(row["policy"], row["backend"]): row for row in simulated}
    assert len(found) == 3
    for key, row in found.items():
        assert row["replica-hours a day"] == pytest.approx(float(listed[key][2]), rel=0.001)
        assert row["bound"] == pytest.approx(float(listed[key][3]), rel=0.001)
        assert row["p99 wait s"] == pytest.approx(float(listed[key][6]), abs=0.05)
    tuned = found["TUNED", "ray"]
    assert tuned["p99 wait s"] <= 1.0
    assert tuned["ratio"] <= 1.02


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if re.match(r"\| [A-Z]", line):
            yield [cell.strip() for cell in line.strip("|").split("|")]
