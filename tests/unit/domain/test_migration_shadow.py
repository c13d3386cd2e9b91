"""What copies of requests say of a destination before anything is moved there."""

from dataclasses import replace

import pytest

from finsight_serve.domain.limit import Limit, format_limit, parse_limit
from finsight_serve.domain.migration import (
    Phase,
    shadow_limits,
    step,
    weights,
)
from finsight_serve.domain.shadow import ShadowReport

from .situations import WELL, at


def test_the_shadow_decides_whether_anything_is_moved() -> None:
    shadowing = at("shadowing")
    assert weights(shadowing) == {"ray": 100} and shadowing.records == ()
    assert step(shadowing, replace(WELL, shadow=None), 0.0) is shadowing
    assert step(shadowing, WELL, 0.0).phase == "shifting"


@pytest.mark.parametrize(
    ("report", "phase"),
    [
        (ShadowReport(pairs=19, ttft_p95_ratio=1.0), "shadowing"),
        (ShadowReport(pairs=25, source_failed=6, ttft_p95_ratio=1.0), "shadowing"),  # 19 say something
        (ShadowReport(pairs=20), "shadowing"),  # nothing known of its time to first token
        (ShadowReport(pairs=1, failed=1), "rolling_back"),
        (ShadowReport(pairs=20, ttft_p95_ratio=1.6), "rolling_back"),
        (ShadowReport(pairs=19, ttft_p95_ratio=9.0), "shadowing"),
        (ShadowReport(pairs=20, ttft_p95_ratio=1.5, other_finish=10, other_text=10, at_temperature_0=20), "shifting"),
        (ShadowReport(pairs=20, ttft_p95_ratio=1.0, other_finish=11), "rolling_back"),
        (ShadowReport(pairs=11, other_text=11, at_temperature_0=11), "rolling_back"),
        (ShadowReport(pairs=40, ttft_p95_ratio=1.0, other_text=1, at_temperature_0=1), "shifting"),
    ],
)
def test_what_copies_say(report: ShadowReport, phase: Phase) -> None:
    assert step(at("shadowing"), replace(WELL, shadow=report), 0.0).phase == phase


@pytest.mark.parametrize(
    ("limit", "report"),
    [
        ("other_text<=100%", ShadowReport(pairs=20, other_text=20, at_temperature_0=20)),
        ("other_finish<=1", ShadowReport(pairs=20, other_finish=20)),
        ("failed<=2", ShadowReport(pairs=20, failed=2)),
        ("error_rate<=10%", ShadowReport(pairs=20, failed=2)),
    ],
)
def test_a_limit_that_is_given_replaces_the_standing_one(limit: str, report: ShadowReport) -> None:
    situation = replace(WELL, shadow=report)
    assert step(at("shadowing", limits=()), situation, 0.0).phase == "rolling_back"
    assert step(at("shadowing", limits=(parse_limit(limit),)), situation, 0.0).phase == "shifting"


def test_a_shadow_that_proves_nothing_goes_back() -> None:
    situation = replace(WELL, shadow=ShadowReport(pairs=3))
    assert step(at("shadowing"), situation, 21599.0).phase == "shadowing"
    late = step(at("shadowing"), situation, 21600.0)
    assert late.phase == "rolling_back" and "3 of 20 copies compared" in late.reason


def test_limits_of_the_shadow_are_no_matter_of_the_steps() -> None:
    shifting = replace(at("shifting", limits=(Limit("other_text", 0.1),)), in_force_s=-60.0)
    assert step(shifting, WELL, 0.0).step == 1


@pytest.mark.parametrize(
    ("given", "judged"),
    [
        ((), "error_rate<=0% other_finish<=50% other_text<=50%"),
        (("failed<=2", "other_text<=0%"), "failed<=2 other_text<=0% other_finish<=50%"),
        (("ttft_p95<=1.5x", "ttft_p95<=2s", "ttft_p50<=2x", "truncated<=0"),
         "ttft_p95<=1.5x error_rate<=0% other_finish<=50% other_text<=50%"),
    ],
)  # fmt: skip
def test_what_copies_are_judged_by(given: tuple[str, ...], judged: str) -> None:
    assert " ".join(map(format_limit, shadow_limits([parse_limit(one) for one in given]))) == judged
