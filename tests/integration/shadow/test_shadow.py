"""Copies over the shadow client's socket, asked of real engines."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from finsight_serve.controller.shadowing import PAIRS_PER_MIGRATION
from finsight_serve.domain.shadow import ShadowReport

from ..engines.server import Server
from .conftest import MODEL, Shadow, set_faults

pytestmark = pytest.mark.anyio

PROMPT = "how is the secret merger going"
ASK: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": PROMPT}],
    "max_tokens": 20,
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.mark.parametrize("stream", [True, False])
async def test_equal_answers_at_unequal_speed(shadow: Shadow, stream: bool) -> None:
    ask = {**ASK, "stream": stream, "stream_options": None}
    for pairs in range(1, 4):
        assert await shadow.copy(ask) == 204
        await shadow.after(pairs)
    report = shadow.report
    assert (report.pairs, report.at_temperature_0) == (3, 3)
    assert (report.source_failed, report.failed, report.other_finish, report.other_text, report.dropped) == (0,) * 5
    # 30 ms against 300 ms; whole answers, which take 220 ms against 680 ms, have their first byte at their end
    low, high = (2, 11) if stream else (1.5, 4)
    assert report.ttft_p95_ratio is not None and low < report.ttft_p95_ratio < high
    assert report.tokens_per_s_ratio is not None and 0.2 < report.tokens_per_s_ratio < 0.7


@pytest.mark.parametrize(
    "fault",
    [
        {"error_rate": 1.0},
        {"error_rate": 1.0, "error_status": 429},
        {"wrong": True},
        {"truncate_after_tokens": 5},
        {"truncate_after_tokens": 5, "truncation": "silent"},
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_faults_are_found_on_the_side_that_has_them(
    shadow: Shadow, replicas: dict[str, Server], fault: dict[str, Any], stream: bool
) -> None:
    ask = {**ASK, "stream": stream, "stream_options": None}
    set_faults(replicas["destination"], **fault)
    await shadow.copy(ask)
    assert await shadow.after(pairs=1) == ShadowReport(pairs=1, failed=1)
    set_faults(replicas["source"], **fault)
    await shadow.copy(ask)
    assert await shadow.after(pairs=2) == ShadowReport(pairs=2, failed=1, source_failed=1)


async def test_copies_are_answered_at_once_while_replicas_hang(shadow: Shadow, replicas: dict[str, Server]) -> None:
    for server in replicas.values():
        set_faults(server, hang=True)
    took_s = []
    for _ in range(PAIRS_PER_MIGRATION + 3):
        began_s = time.monotonic()
        assert await shadow.copy(ASK) == 204
        took_s.append(time.monotonic() - began_s)
    assert sorted(took_s)[len(took_s) // 2] < 0.5
    assert shadow.report == ShadowReport(dropped=3)


def files_in(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


async def test_no_prompt_and_no_answer_is_left_behind(
    shadow: Shadow, replicas: dict[str, Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await shadow.copy(ASK)
    await shadow.after(pairs=1)
    set_faults(replicas["destination"], truncate_after_tokens=5)
    await shadow.copy(ASK)
    await shadow.after(pairs=2)
    logs = [text for server in replicas.values() for text in files_in(server.log.parent)]
    left = "\n".join([caplog.text, *shadow.said, *files_in(shadow.folder), *logs])
    assert "/v1/chat/completions" in caplog.text  # it does see what is logged
    assert not [word for word in ("secret", "merger") if word in left]
