import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from finsight_serve.cli.output import Section, Shown, render


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Row:
    name: str
    colour: Colour
    at: Path | None = None


ROWS = (Row("a", Colour.RED), Row("b", Colour.RED, Path("/x")))


def test_rows_as_a_table_and_as_json() -> None:
    assert [line.split() for line in render(ROWS, "table").splitlines()[2:]] == [["a", "red", "-"], ["b", "red", "/x"]]
    assert json.loads(render(ROWS, "json"))[1] == {"name": "b", "colour": "red", "at": "/x"}


def test_one_thing() -> None:
    assert render(ROWS[1], "table").split() == ["name", "b", "colour", "red", "at", "/x"]
    assert json.loads(render({"a": {"b": (1, 2)}}, "json")) == {"a": {"b": [1, 2]}}


def test_sections() -> None:
    sections = [Section("thing", {"a": 1}), Section("rows", ROWS), Section("empty", [])]
    assert list(json.loads(render(sections, "json"))) == ["thing", "rows", "empty"]
    assert render(sections, "table").splitlines()[:2] == ["thing", "  a  1"]
    assert render(sections, "table").endswith("empty\n  none")


def test_text_is_left_as_it_is_and_numbers_too() -> None:
    assert render("1e5 é", "table") == "1e5 é"
    assert "1e5" in render([{"version": "1e5"}], "table")


def test_values_in_json_and_words_in_a_table() -> None:
    shown = Shown({"share": 0.5}, {"share": "50 %"})
    for value, in_json in ((shown, {"share": 0.5}), ([Section("one", shown)], {"one": {"share": 0.5}})):
        assert json.loads(render(value, "json")) == in_json
        assert render(value, "table").endswith("share  50 %")
    assert render(Shown([1], [Section("two", "words")]), "table") == "two\n  words"
