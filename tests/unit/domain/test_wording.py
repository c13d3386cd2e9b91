import pytest

from finsight_serve.domain.wording import counted, span


@pytest.mark.parametrize(
    ("span_s", "text"),
    [(0.25, "0.25 s"), (45, "45 s"), (60, "1 min"), (150, "2 min 30 s"), (3600, "1 h"), (90000, "1 d 1 h")],
)
def test_spans_of_time(span_s: float, text: str) -> None:
    assert span(span_s) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 requests"), (1, "1 request"), (2000, "2,000 requests"), (0.5, "0.5 requests")]
)
def test_one_or_many(number: float, text: str) -> None:
    assert counted(number, "request") == text
