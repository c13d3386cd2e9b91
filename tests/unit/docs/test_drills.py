"""The document of the drills is of those that there are, and each of them passed."""

from finsight_serve.drill.catalogue import DRILLS, NOT_DRILLED

from .test_docs import read, rows


def test_each_line_is_a_drill_that_passed() -> None:
    lines = rows(read("docs/drills.md"), "drill")
    names = [cells[0] for cells in lines]
    assert names == [one.name for one in DRILLS if one.name in names]
    assert {cells[1] for cells in lines} == {"passed"}


def test_what_is_not_drilled_says_why() -> None:
    assert all(f"- {name}: {why}\n" in read("docs/drills.md") for name, why in NOT_DRILLED.items())
