"""Reading answers without keeping them, and adding the pairs up."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve.controller.shadow_answers import LARGEST_PART_BYTES, Answer, AnswerReader
from finsight_serve.controller.shadow_tally import REMEMBERED_PAIRS, Tally
from finsight_serve.domain.shadow import ShadowReport

DONE = b"data: [DONE]\n\n"


def sse(*choices: dict[str, Any], **more: Any) -> bytes:
    return b"data: " + json.dumps({"id": "x", "choices": choices, **more}).encode() + b"\n\n"


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"index": 0, "delta": said, "finish_reason": finish}


def read(*parts: bytes, is_stream: bool = True) -> Answer:
    reader = AnswerReader(is_stream)
    for part in parts:
        reader.feed(part)
    return reader.end(0.5, 2.0)


STREAM = (
    sse(delta(role="assistant", content=""))
    + b": a comment\r\n\r\n"
    + sse(delta(content="Grüße aus "))
    + sse(delta(content="Paris"))
    + sse(delta(finish="stop"))
    + sse(usage={"completion_tokens": 3})
    + DONE
)
CALLS = (
    sse(delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "price", "arguments": ""}}]))
    + sse(delta(tool_calls=[{"index": 0, "function": {"arguments": '{"of":'}}]))
    + sse(delta(tool_calls=[{"index": 0, "function": {"arguments": '"FS"}'}}]))
    + sse(delta(finish="tool_calls"))
    + DONE
)


def called(arguments: str, id: str = "b") -> bytes:
    message = {"content": None, "tool_calls": [{"id": id, "function": {"name": "price", "arguments": arguments}}]}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}).encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_where_a_stream_is_cut_into_pieces_does_not_matter(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    assert read(*pieces) == read(STREAM)


def test_a_stream_and_a_whole_answer_of_the_same_text_are_equal_in_text():
    message = {"role": "assistant", "content": "Grüße aus Paris"}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}
    streamed, once = read(STREAM), read(json.dumps(whole).encode(), is_stream=False)
    assert streamed.digests == once.digests
    assert streamed.finish_reasons == once.finish_reasons == ((0, "stop"),)
    assert streamed.usage_tokens == once.usage_tokens == 3
    assert (streamed.chunks, once.chunks) == (2, 1)


def test_tool_calls_are_part_of_the_text_but_their_ids_are_not():
    streamed = read(CALLS)
    assert streamed.digests == read(called('{"of":"FS"}'), is_stream=False).digests
    assert streamed.digests != read(called('{"of":"XX"}'), is_stream=False).digests


def test_tool_calls_that_are_streamed_in_turns_are_kept_apart():
    def arguments(index: int, text: str) -> bytes:
        return sse(delta(tool_calls=[{"index": index, "function": {"arguments": text}}]))

    in_turns = read(arguments(0, "a") + arguments(1, "x") + arguments(0, "b") + arguments(1, "y") + DONE)
    in_order = read(arguments(0, "ab") + arguments(1, "xy") + DONE)
    assert in_turns.digests == in_order.digests
    assert in_turns.digests != read(arguments(0, "ax") + arguments(1, "by") + DONE).digests


def test_the_same_words_in_another_place_are_another_text():
    said = [read(sse(delta(**{place: "no"})) + DONE).digests for place in ("content", "reasoning", "refusal")]
    assert len(set(said)) == 3


def test_of_the_text_nothing_is_kept():
    assert "Paris" not in repr(read(STREAM))


@pytest.mark.parametrize(
    ("body", "is_stream"),
    [
        (STREAM.removesuffix(DONE), True),
        (sse(delta(content="x")) + b'data: {"error": {"message": "out of memory"}}\n\n' + DONE, True),
        (b"data: <html>\n\n" + DONE, True),
        (b"", True),
        (b"", False),
        (b"<html>It works!</html>", False),
        (b'{"choices": [', False),
        (b'{"error": {"message": "no"}}', False),
        (b"[]", False),
        (b"[" * 100_000, False),
    ],
)
def test_what_is_no_whole_answer(body, is_stream):
    with pytest.raises(ValueError):
        read(body, is_stream=is_stream)


@pytest.mark.parametrize("is_stream", [True, False])
def test_what_would_fill_the_memory_is_given_up(is_stream):
    reader = AnswerReader(is_stream)
    with pytest.raises(ValueError, match="too large"):
        for _ in range(LARGEST_PART_BYTES // 2**20 + 1):
            reader.feed(b"x" * 2**20)


GOOD = Answer(0.5, 2.0, 10, 10, ((0, "stop"),), (("0 content", b"digest"),))


def report(*pairs: tuple[Answer | None, Answer | None], at_temperature_0: bool = False) -> ShadowReport:
    tally = Tally()
    for source, destination in pairs:
        tally.add(source, destination, at_temperature_0=at_temperature_0)
    return tally.report()


def test_a_failure_is_counted_on_one_side_alone():
    assert report((None, None), (None, GOOD)) == ShadowReport(pairs=2, source_failed=2)
    assert report((GOOD, None)) == ShadowReport(pairs=1, failed=1)


def test_texts_are_compared_at_temperature_0_alone():
    other = replace(GOOD, digests=(), finish_reasons=((0, "length"),))
    same = ShadowReport(pairs=1, ttft_p95_ratio=1.0, tokens_per_s_ratio=1.0)
    assert report((GOOD, GOOD)) == same
    assert report((GOOD, other)) == replace(same, other_finish=1)
    assert report((GOOD, GOOD), at_temperature_0=True) == replace(same, at_temperature_0=1)
    assert report((GOOD, other), at_temperature_0=True) == replace(
        same, other_finish=1, at_temperature_0=1, other_text=1
    )


def test_the_slowest_twentieth_decides_the_ttft_and_the_middle_the_pace():
    slow = replace(GOOD, ttft_s=1.0, duration_s=4.0)
    assert report(*[(GOOD, GOOD)] * 19, (GOOD, slow)).ttft_p95_ratio == 1.0
    assert report(*[(GOOD, GOOD)] * 18, *[(GOOD, slow)] * 2).ttft_p95_ratio == 2.0
    assert report(*[(GOOD, GOOD)] * 5, *[(GOOD, slow)] * 6).tokens_per_s_ratio == 0.5


def test_tokens_are_counted_the_same_way_on_both_sides():
    without_usage = replace(GOOD, usage_tokens=None, chunks=5)
    assert report((GOOD, without_usage)).tokens_per_s_ratio == 0.5
    assert report((replace(GOOD, usage_tokens=5), GOOD)).tokens_per_s_ratio == 2.0


def test_without_a_measure_there_is_no_ratio():
    empty = replace(GOOD, ttft_s=0.0, duration_s=0.0, chunks=0, usage_tokens=0)
    assert report((empty, GOOD)).ttft_p95_ratio is None
    assert report((GOOD, empty)).tokens_per_s_ratio is None


def test_the_newest_pairs_tell_the_speed():
    slow = replace(GOOD, ttft_s=5.0)
    told = report(*[(GOOD, slow)] * 50, *[(GOOD, GOOD)] * REMEMBERED_PAIRS)
    assert told.pairs == 50 + REMEMBERED_PAIRS
    assert told.ttft_p95_ratio == 1.0
