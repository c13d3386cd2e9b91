import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.domain.routing import REFUSED, overlay

NAMES = "abcdef"


@pytest.mark.parametrize(
    ("weights", "admits", "spare", "expected"),
    [
        # all can
        ({"a": 100}, {"a": 100}, [], {"a": 100}),
        ({"b": 30, "a": 70}, {"a": 100, "b": 100}, ["c"], {"b": 30, "a": 70}),
        # one can't: the others share what it had, by their weights
        ({"a": 50, "b": 50}, {"a": 0, "b": 100}, ["c"], {"b": 100}),
        ({"a": 50, "b": 40, "c": 10}, {"a": 0, "b": 100, "c": 100}, [], {"b": 80, "c": 20}),
        ({"a": 10, "b": 60, "c": 30}, {"b": 100, "c": 100}, [], {"b": 67, "c": 33}),
        ({"a": 1, "b": 33, "c": 33, "d": 33}, {"b": 100, "c": 100, "d": 100}, [], {"b": 34, "c": 33, "d": 33}),
        # none of the tenant's own can: those to spare
        ({"a": 100}, {"a": 0, "x": 100}, ["x"], {"x": 100}),
        ({"a": 100}, {"x": 100, "y": 100, "z": 100}, ["x", "y", "z"], {"x": 34, "y": 33, "z": 33}),
        ({"a": 100, "b": 0}, {"a": 0, "b": 100}, ["b"], {"b": 100}),
        # nobody can
        ({"a": 100}, {"a": 0}, [], {}),
        ({}, {}, [], {}),
        # half-open
        ({"a": 100}, {"a": 10}, [], {"a": 10, REFUSED: 90}),
        ({"a": 100}, {"a": 10, "x": 100}, ["x"], {"a": 10, "x": 90}),
        ({"a": 50, "b": 50}, {"a": 10, "b": 100}, ["x"], {"a": 5, "b": 95}),
        ({"a": 99, "b": 1}, {"a": 100, "b": 10}, [], {"a": 99, "b": 1}),
        ({"a": 50, "b": 50}, {"a": 10, "b": 10}, [], {"a": 5, "b": 5, REFUSED: 90}),
        ({"a": 50, "b": 50}, {"a": 10, "b": 0}, ["x"], {"a": 5, "x": 95}),
        # a share of 0 is none
        ({"a": 100, "b": 0}, {"a": 100, "b": 100}, [], {"a": 100}),
    ],
)
def test_who_gets_what(
    weights: dict[str, int], admits: dict[str, int], spare: list[str], expected: dict[str, int]
) -> None:
    found = overlay(weights, admits, spare)
    assert list(found.items()) == list(expected.items())


@st.composite
def weights(draw: st.DrawFn) -> dict[str, int]:
    """Of up to four deployments in any order, adding up to 100."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1)))
    return {name: end - begin for name, begin, end in zip(names, [0, *cuts], [*cuts, 100], strict=True)}


ADMITS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1, 10, 50, 100]))


@settings(max_examples=1000)
@given(weights(), ADMITS, st.permutations(NAMES))
def test_any_weights_over_any_deployments(weights: dict[str, int], admits: dict[str, int], order: list[str]) -> None:
    spare = [name for name in order if admits.get(name) == 100]
    shares = overlay(weights, admits, spare)
    assert sum(shares.values()) == 100 or shares == {}
    assert all(percent > 0 for percent in shares.values())
    assert all(admits.get(name) for name in shares if name != REFUSED)
    own = [name for name, percent in weights.items() if percent and admits.get(name)]
    if own or spare:
        assert shares.keys() - {REFUSED}
    if spare:
        assert REFUSED not in shares
    for name in own:
        if admits[name] < 100:  # bounded, and never so small that nothing is learnt
            assert 1 <= shares[name] <= max(1, weights[name] * admits[name] / 100 + 0.5)
        else:
            assert shares[name] >= weights[name]
    assert [name for name in weights if name in shares] == [name for name in shares if name in weights]
    assert overlay(weights, admits, spare) == shares


@given(weights(), st.permutations(NAMES))
def test_where_all_can_nothing_changes(weights: dict[str, int], spare: list[str]) -> None:
    shares = overlay(weights, dict.fromkeys(NAMES, 100), spare)
    assert list(shares.items()) == [(name, percent) for name, percent in weights.items() if percent]


def place(shares: dict[str, int], at_percent: float) -> str:
    """Whom a session gets whose hash falls there."""
    for name, percent in shares.items():
        at_percent -= percent
        if at_percent < 0:
            return name
    raise AssertionError("the shares do not add up to 100")


@given(st.integers(1, 99), st.sampled_from([0, 10, 50]), st.floats(0, 99.9))
def test_with_two_deployments_no_session_leaves_the_one_that_can(percent: int, admits: int, session: float) -> None:
    before = {"a": percent, "b": 100 - percent}
    for lame, well in (("a", "b"), ("b", "a")):
        after = dict(overlay(before, {lame: admits, well: 100}, []))
        if place(before, session) == well:
            assert place(after, session) == well
