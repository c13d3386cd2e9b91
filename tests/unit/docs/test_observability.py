"""The tables of docs/observability.md are what is exported, recorded and watched for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "observability.md"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("observability_tables", ROOT / "docs" / "observability_tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_up_to_date(tables: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == tables.made(page), "make them again: python docs/observability_tables.py"


def test_each_table_has_its_place(tables: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(len(tables.block(name).findall(page)) == 1 for name in tables.TABLES)
