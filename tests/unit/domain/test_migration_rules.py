from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.domain import FieldError
from finsight_serve.domain.limit import Limit
from finsight_serve.domain.migration import (
    STEPS,
    Migration,
    MigrationRules,
    Phase,
    check_rules,
    default_steps,
    weights,
)

NAMES = ("a", "b", "c", "d", "new")


@st.composite
def splits(draw: st.DrawFn) -> dict[str, int]:
    """Weights of up to four deployments, adding up to 100."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.sets(st.integers(1, 99), min_size=len(names) - 1, max_size=len(names) - 1)))
    return {name: high - low for name, low, high in zip(names, [0, *cuts], [*cuts, 100], strict=True)}


def shifted(source: dict[str, int], percent: int) -> dict[str, int]:
    rules = MigrationRules(steps=(percent, 100))
    return dict(weights(Migration("M1", "mike", source, "new", rules, phase="shifting")))


@pytest.mark.parametrize(
    ("source", "percent", "expected"),
    [
        ({"a": 100}, 1, {"a": 99, "new": 1}),
        ({"a": 100}, 100, {"new": 100}),
        ({"a": 50, "new": 50}, 50, {"a": 25, "new": 75}),
        ({"a": 60, "b": 40}, 50, {"a": 30, "new": 50, "b": 20}),
        ({"a": 99, "b": 1}, 90, {"a": 10, "new": 90}),
        ({"a": 90, "b": 10}, 93, {"a": 6, "new": 93, "b": 1}),
    ],
)
def test_the_destination_takes_from_every_source_alike(
    source: dict[str, int], percent: int, expected: dict[str, int]
) -> None:
    assert list(shifted(source, percent).items()) == list(expected.items())


@given(splits(), st.integers(1, 99))
def test_weights_add_up_and_no_source_ever_grows(source: dict[str, int], percent: int) -> None:
    found, further = shifted(source, percent), shifted(source, percent + 1)
    assert sum(found.values()) == 100 and all(share > 0 for share in found.values())
    assert found.keys() <= {*source, "new"}
    kept = [name for name in found if name != "new"]
    assert kept == [name for name in source if name in kept]
    assert found["new"] >= percent
    assert all(further.get(name, 0) <= found[name] <= source[name] for name in kept)
    assert further["new"] >= found["new"]


@given(splits().filter(lambda source: "new" not in source and len(source) <= 2), st.integers(1, 99))
def test_with_two_sources_nobody_is_moved_between_them_or_back(source: dict[str, int], percent: int) -> None:
    """Each of 100 places in the order of the weights is one share of the clients."""
    before, now, later = (
        [name for name, share in split.items() for _ in range(share)]
        for split in (source, shifted(source, percent), shifted(source, percent + 1))
    )
    assert all(after in (was, "new") for was, after in zip(before, now, strict=True))
    assert all(after in (was, "new") for was, after in zip(now, later, strict=True))


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("planned", {"a": 100}),
        ("preparing", {"a": 100}),
        ("probing", {"a": 100}),
        ("shadowing", {"a": 100}),
        ("shifting", {"a": 90, "new": 10}),
        ("draining", {"new": 100}),
        ("rolling_back", {"a": 100}),
        ("done", {"new": 100}),
        ("rolled_back", {"a": 100}),
        ("failed", {"a": 100}),
    ],
)
def test_each_phase_has_its_weights(phase: Phase, expected: dict[str, int]) -> None:
    assert weights(Migration("M1", "mike", {"a": 100}, "new", phase=phase, step=1)) == expected


@pytest.mark.parametrize(
    ("requests_per_s", "steps"),
    [
        (100.0, (1, 10, 50, 100)),
        (20 / 6, (1, 10, 50, 100)),  # 1% of it are 20 in 600 s
        (3.0, (10, 50, 100)),
        (0.1, (50, 100)),
        (0.04, (50, 100)),  # 24 in 600 s: half of them are too few, but all at once would be rash
        (0.03, (100,)),
        (0.0, (100,)),
        (-1.0, (100,)),
        (nan, (100,)),
        (inf, (1, 10, 50, 100)),
    ],
)
def test_quiet_tenants_start_with_larger_steps(requests_per_s: float, steps: tuple[int, ...]) -> None:
    assert default_steps(requests_per_s, 20) == steps


@given(st.floats(0, 1e6), st.integers(1, 10**6), st.floats(1, 1e5))
def test_default_steps_are_always_valid(requests_per_s: float, min_requests: int, patience_s: float) -> None:
    steps = default_steps(requests_per_s, min_requests, patience_s)
    check_rules(MigrationRules(steps=steps))
    assert steps == STEPS[-len(steps) :]
    if len(steps) > 2:
        assert requests_per_s * patience_s * steps[0] / 100 >= min_requests


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"steps": ()}, "steps", "must be percentages from 1 to 100, as 1,10,50,100, found none"),
        ({"steps": (0, 100)}, "steps", "must be percentages from 1 to 100, as 1,10,50,100, found 0,100"),
        ({"steps": (50, 101)}, "steps", "must be percentages from 1 to 100, as 1,10,50,100, found 50,101"),
        ({"steps": (50, 10, 100)}, "steps", "must rise, as 1,10,50,100, found 50,10,100"),
        ({"steps": (50, 50, 100)}, "steps", "must rise, as 1,10,50,100, found 50,50,100"),
        ({"steps": (1, 10)}, "steps", "must end at 100, as 1,10,50,100, found 1,10"),
        ({"hold_s": -1.0}, "hold_s", "must be a time of at least 0, as 60s, found -1"),
        ({"hold_s": nan}, "hold_s", "must be a time of at least 0, as 60s, found nan"),
        ({"hold_s": 21600.0}, "hold_s", "must be less than --step-deadline (6 h), found 6 h"),
        ({"min_requests": -1}, "min_requests", "must be at least 0, found -1"),
        (
            {"min_requests": 0, "shadow_percent": 5},
            "min_requests",
            "must be at least 1 with a shadow: no copy proves nothing",
        ),
        (
            {"limits": (Limit("other_text", 0.1),)},
            "limits",
            "other_text is seen in the shadow alone: have one, as --shadow 5%, or leave it out",
        ),
        ({"shadow_percent": 101}, "shadow_percent", "must be from 0 to 100, found 101"),
        ({"prepare_deadline_s": 0.0}, "prepare_deadline_s", "must be a time greater than 0, as 15m, found 0"),
        ({"step_deadline_s": inf}, "step_deadline_s", "must be a time greater than 0, as 15m, found inf"),
        ({"drain_deadline_s": nan}, "drain_deadline_s", "must be a time greater than 0, as 15m, found nan"),
    ],
)
def test_a_senseless_rule_names_its_field(changes: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        check_rules(replace(MigrationRules(), **changes))
    assert (caught.value.field, caught.value.message) == (field, message)


def test_the_defaults_make_sense() -> None:
    check_rules(MigrationRules())
