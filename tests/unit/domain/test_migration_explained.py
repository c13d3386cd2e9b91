"""What people are told of a migration."""

from dataclasses import replace
from typing import Any

import pytest

from finsight_serve.domain.figures import Figures
from finsight_serve.domain.migration import (
    Phase,
    explain,
    pause,
    step,
)
from finsight_serve.domain.shadow import ShadowReport

from .situations import WELL, asked, at


def test_explaining_a_step() -> None:
    shifting = replace(at("shifting"), step=1, in_force_s=100.0, since_s=90.0)
    situation = replace(WELL, destination=Figures(requests=12, ttft_p95_s=0.5))
    assert explain(shifting, situation, 142.0) == (
        "step 2 of 4: 10 % of mike's requests go to east",
        "because: all replicas of east answer the probe: 2",
        "waits: the step holds 18 s more",
        "waits: 12 of 20 requests seen at east",
        "waits: error_rate<=0.1%: not known yet, 12 of 20 seen",
        "waits: ttft_p95<=1.5x: not known yet, 12 of 20 requests seen",
        "otherwise rolls back in 5 h 59 min",
    )


def test_explaining_what_holds() -> None:
    lines = explain(replace(at("shifting"), in_force_s=100.0), WELL, 142.0)
    assert lines[-3:-1] == (
        "holds: error_rate<=0.1%: 0 of 20 requests failed or were truncated",
        "holds: ttft_p95<=1.5x: 500 ms, the source 500 ms",
    )


@pytest.mark.parametrize(
    ("phase", "changes", "line"),
    [
        ("preparing", {"watched_since_s": None}, "waits: the stack is not up yet"),
        ("preparing", {"watched_since_s": 4.0, "destination_replicas": 1}, "otherwise gives up in 14 min 54 s"),
        ("probing", {"breaker": "half_open"}, "waits: the breaker of east is half-open"),
        ("planned", {"earlier_waves": "running"}, "waits: the waves before its own (0) are not through"),
        ("preparing", {"destination_replicas": 1}, "waits: 1 of 2 replicas of east are ready"),
        ("preparing", {"destination_replicas": 1}, "otherwise gives up in 14 min 50 s"),
        ("probing", {"destination_probed": 1}, "waits: 1 of 2 replicas of east have answered the probe"),
        ("shadowing", {"shadow": None}, "waits: nothing is known of the copies"),
        (
            "shadowing",
            {"shadow": ShadowReport(pairs=3, tokens_per_s_ratio=0.9, dropped=2)},
            "shadow: 3 requests asked of both sides; tokens come 0.90 times as fast as from the source; "
            "2 left out: too many at once, too large, or nothing to compare",
        ),
        ("shifting", {"breaker": "open"}, "about to roll back: the breaker of east is open"),
        ("draining", {"open_at_sources": 3}, "waits: streams still open at its sources: 3"),
        ("rolling_back", {"open_at_destination": 1}, "waits: streams still open at east: 1"),
        ("rolling_back", {"open_at_destination": 1}, "otherwise counts as rolled back, unproven, in 14 min 50 s"),
    ],
)
def test_explaining_what_each_phase_waits_for(phase: Phase, changes: dict[str, Any], line: str) -> None:
    assert line in explain(at(phase), replace(WELL, **changes), 10.0)


@pytest.mark.parametrize(
    "phase", ["planned", "preparing", "probing", "shadowing", "shifting", "draining", "rolling_back"]
)
def test_an_explanation_waits_for_something_exactly_while_nothing_changes(phase: Phase) -> None:
    """What is told to people is what the machine goes by."""
    migration = replace(at(phase), in_force_s=-60.0)
    for situation in (WELL, replace(WELL, is_in_force=False, destination_replicas=None, earlier_waves="running")):
        waits = any(line.startswith("waits: ") for line in explain(migration, situation, 0.0))
        assert waits == (step(migration, situation, 0.0) is migration)


def test_explaining_a_pause_an_end_and_a_controller_that_does_not_run() -> None:
    assert "paused: stays as it is, though limits and the breaker still roll it back" in explain(
        pause(at("shifting"), 0.0), WELL, 0.0
    )
    over = replace(asked(), phase="rolled_back", reason="asked for", proof="40 requests, 0 failed, 0 truncated")
    assert explain(over, None, 0.0) == (
        "rolled back to 100 % ray",
        "because: asked for",
        "40 requests, 0 failed, 0 truncated",
    )
    assert explain(at("shifting"), None, 0.0)[-1].startswith("what it waits for is known to the controller alone")
