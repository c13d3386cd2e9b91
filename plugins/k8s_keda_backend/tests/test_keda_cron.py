"""The grammar, against what robfig/cron 3 was seen to take and refuse."""

import pytest

from finsight_serve_k8s_keda.keda_cron import check_expression, takes_either_day


@pytest.mark.parametrize(
    "expression",
    [
        "0 8 * * MON-WED",
        "0 8 * * */7",
        "*/7 8-17/3 1,15 jan-Mar sat",
        "? ? ? ? ?",
        "5/20 * * * 0",
        "0 8 ,1, * 1",
        "007 8 * * *",
    ],
)
def test_what_keda_reads(expression: str) -> None:
    check_expression(expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("0 8 * * 7", "the day of week in '7' must be from 0 to 6"),
        ("0 8 * * 5L", "it knows no '5L' as day of week"),
        ("0 8 * * 1#2", "it knows no '1#2' as day of week"),
        ("0 8 L * *", "it knows no 'L' as day of month"),
        ("0 8 0 * *", "the day of month in '0' must be from 1 to 31"),
        ("0 8 * * FRI-MON", "the range 'FRI-MON' ends before it begins"),
        ("0 8 * * 1-3-5", "'1-3-5' is no range"),
        ("*/0 8 * * *", "'*/0' has a step of 0"),
        ("1/2/3 8 * * *", "'1/2/3' has more than one step"),
        ("*/ 8 * * *", "'*/' lacks a number"),
        ("-5 8 * * *", "'-5' lacks a number"),
        ("@daily", "it takes 5 fields, not 1"),
        ("0 0 8 * * *", "it takes 5 fields, not 6"),
    ],
)
def test_what_keda_cannot_read(expression: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_expression(expression)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("expression", "either"),
    [("0 8 1 * 1", True), ("0 8 * * 1", False), ("0 8 */2 * 1", True), ("0 8 1 * */1", False), ("0 8 1 * 1,?", False)],
)
def test_whether_a_day_need_match_one_field_only(expression: str, either: bool) -> None:
    assert takes_either_day(expression) is either
