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


def test_reference_figures_hold_on_one_draw(tables: ModuleType, page: str) -> None:
    """Costs to 1 %, and the tuned policy's promise on days that it was not searched on."""
    (stands,) = tables.block("reference").findall(page)
    later = stands.partition(f"Days {', '.join(map(str, tables.LATER))};")[2]
    listed = {(cells[0], cells[1]): cells for cells in rows(later)}
    found = {(row["policy"], row["backend"]): row for row in tables.figures(tables.LATER, 1, ("ray",))}
    assert found.keys() == {(policy, "ray") for policy in tables.POLICIES}
    for key, row in found.items():
        assert row["replica-hours a day"] == pytest.approx(float(listed[key][3]), rel=0.01)
        assert row["bound"] == pytest.approx(float(listed[key][4]), rel=0.01)
    tuned = found["TUNED", "ray"]
    assert tuned["searched on these days"] == ""
    assert tuned["p99 wait s"] <= tables.PROMISED_S
    assert tuned["ratio"] <= 1.02


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if re.match(r"\| [A-Z]", line):
            yield [cell.strip() for cell in line.strip("|").split("|")]
