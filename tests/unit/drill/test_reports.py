"""What a drill tells: one line, a document, a page."""

import re
from datetime import date

import pytest

from finsight_serve.drill.catalogue import NOT_DRILLED
from finsight_serve.drill.document import document
from finsight_serve.drill.load import Answer, Counts, count
from finsight_serve.drill.page import page
from finsight_serve.drill.timeline import Finding, Moment, Row, row

MOMENTS = (
    Moment(0.0, "fault", "kill -9 | of <it>"),
    Moment(1.5, "symptom", "a request failed: HTTP 503"),
    Moment(5.6, "alert", "FinSightControllerDown"),
    Moment(6.0, "check", "`df -h STATE`"),
    Moment(9.1, "action", "`fs serve --detach`"),
    Moment(10.25, "recovered", "all is as wanted"),
)
PASSED = Finding("controller-down", "Controller down", "kill -9", "east", 15, MOMENTS, Counts(20, 1, 2, 3))
FAILED = Finding(
    "disk-full", "Disk full", "no <space>", "east", 15, (), Counts(0, 0, 0, 0), "not within 90 s: an alert"
)
DAY = date(2026, 11, 29)


def test_one_line_has_seconds_and_losses() -> None:
    assert row(PASSED) == Row("controller-down", "passed", "kill -9", "FinSightControllerDown", "5.6", "10.2", 20, 1, 2)
    assert row(FAILED).result == "failed: not within 90 s: an alert"
    assert (row(FAILED).alert, row(FAILED).seconds_to_detect) == ("", "-")


def test_answers_are_counted_by_how_they_ended() -> None:
    outcomes = ("complete", "failed", "truncated", "truncated", "turned_away")
    assert count(Answer(one, 0.0, 1.0) for one in outcomes) == Counts(5, 1, 2, 1)


def test_a_document_has_the_date_the_factor_and_a_line_each() -> None:
    text = document([PASSED, FAILED], DAY)
    assert "2026-11-29" in text and "1 of 2 drills passed" in text and "divided by 15" in text
    rows = [line for line in text.splitlines() if line.startswith(("| controller-down |", "| disk-full |"))]
    assert len(rows) == 2
    assert all(f"- {name}: {why}" in text for name, why in NOT_DRILLED.items())
    assert "kill -9 \\| of <it>" in text  # a cell stays one


def test_rules_as_shipped_are_called_so() -> None:
    assert "as shipped" in document([Finding("a", "A", "f", "b", 1, (), Counts(0, 0, 0, 0))], DAY)


def test_a_page_needs_nothing_else_and_no_script() -> None:
    pytest.importorskip("jinja2")
    text = page([PASSED, FAILED], DAY)
    assert "<script" not in text and not re.search(r"(?:src|href)=\"(?!#)", text) and "url(" not in text
    assert "color-scheme: light dark" in text and 'lang="en"' in text
    assert "kill -9 | of &lt;it&gt;" in text and "no &lt;space&gt;" in text
    assert 'aria-label="fault at 0.0 s; symptom at 1.5 s; alert at 5.6 s; action at 9.1 s; recovered at 10.2 s"' in text
