"""Parts that raise or hang cost their own findings only."""

from collections.abc import Callable, Iterator
from threading import Event

import pytest

from finsight_serve.errors import UserError
from finsight_serve.support import parts
from finsight_serve.support.parts import Found, Missing, Part, Value, look


@pytest.fixture
def stuck() -> Iterator[Event]:
    """What a part waits for that hangs; freed at the end, so that no thread stays behind."""
    event = Event()
    yield event
    event.set()


def hanging(event: Event, *first: Found) -> Callable[[], Iterator[Found]]:
    def collect() -> Iterator[Found]:
        yield from first
        event.wait(60)
        yield Value("late", 1)

    return collect


def test_what_was_found_before_an_error_counts_and_the_next_part_is_looked_at() -> None:
    def fail(error: BaseException) -> Iterator[Found]:
        yield Value("before", 1)
        raise error

    found = list(
        look(
            (
                Part("a", lambda: fail(ValueError("no\nsecond line"))),
                Part("b", lambda: fail(SystemExit(3))),
                Part("c", lambda: fail(UserError("x: is damaged; put a copy back"))),
                Part("d", lambda: [Value("d", 4)]),
            ),
            pytest.fail,
        )
    )
    assert found == [
        *(Value("before", 1), Missing("a", "ValueError: no")),
        *(Value("before", 1), Missing("b", "SystemExit: 3")),
        *(Value("before", 1), Missing("c", "x: is damaged; put a copy back")),
        Value("d", 4),
    ]


def test_a_part_that_hangs_is_left_at_its_deadline(stuck: Event) -> None:
    said: list[str] = []
    each = (Part("slow", hanging(stuck, Value("before", 1)), 0.2), Part("d", lambda: [Value("d", 4)]))
    assert list(look(each, said.append)) == [
        Value("before", 1),
        Missing("slow", "no end within 0.2 s", hangs=True),
        Value("d", 4),
    ]
    assert said == []


def test_what_takes_long_is_said_once(stuck: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SAID_AFTER_S", 0.05)
    said: list[str] = []
    list(look([Part("slow", hanging(stuck), 0.3)], said.append))
    assert said == ["slow: at most 0.3 s"]


def test_parts_of_a_part_have_deadlines_of_their_own(stuck: Event) -> None:
    inner = (Part("inner", hanging(stuck), 0.1), Part("next", lambda: [Value("next", 1)]))
    found = list(look([Part("outer", lambda: look(inner, pytest.fail))], pytest.fail))
    assert found == [Missing("inner", "no end within 0.1 s", hangs=True), Value("next", 1)]
