"""What an answer was like, in counts and digests: nothing of its text is kept. OpenAI's JSON and event streams."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

LARGEST_PART_BYTES = 16 * 2**20  # of a JSON answer, or of a line of a stream: all that is ever held
DONE = b"[DONE]"


@dataclass(frozen=True)
class Answer:
    """A whole one. Its text is told by digests that are equal where the texts are, streamed or not."""

    ttft_s: float  # to the first body byte
    duration_s: float
    chunks: int  # parts with text in them
    usage_tokens: int | None  # completion tokens, where the engine said so
    finish_reasons: tuple[tuple[int, str], ...]  # by choice
    digests: tuple[tuple[str, bytes], ...]


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(BaseModel):
    index: int | None = None  # only streams say it
    function: _Function = _Function()


class _Said(BaseModel):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    index: int = 0
    text: str | None = None
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Usage(BaseModel):
    completion_tokens: int | None = None


class _Part(BaseModel):
    """A whole answer, or one event of a stream. An error inside a stream is no part of an answer."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: None = None


class AnswerReader:
    """Takes a body piece by piece. `feed` and `end` raise `ValueError` for what is no whole answer of OpenAI's kind."""

    def __init__(self, is_stream: bool) -> None:
        self._is_stream = is_stream
        self._is_done = False
        self._rest = bytearray()  # of a line that has not ended, or the whole JSON until it has
        self._chunks = 0
        self._usage_tokens: int | None = None
        self._finish_reasons: dict[int, str] = {}
        self._hashes: dict[str, hashlib._Hash] = {}

    def feed(self, data: bytes) -> None:
        self._rest += data
        if self._is_stream:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                self._take_line(bytes(line))
        if len(self._rest) > LARGEST_PART_BYTES:
            raise ValueError("the answer is too large to be compared")

    def end(self, ttft_s: float, duration_s: float) -> Answer:
        if not self._is_stream:
            self._take(bytes(self._rest))
        elif not self._is_done:
            raise ValueError("the stream has no end")
        digests = tuple(sorted((name, text.digest()) for name, text in self._hashes.items()))
        reasons = tuple(sorted(self._finish_reasons.items()))
        return Answer(ttft_s, duration_s, self._chunks, self._usage_tokens, reasons, digests)

    def _take_line(self, line: bytes) -> None:
        if not line.startswith(b"data:") or self._is_done:
            return
        data = line.removeprefix(b"data:").strip()
        if data == DONE:
            self._is_done = True
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        part = _Part.model_validate_json(data)
        if part.usage and part.usage.completion_tokens is not None:
            self._usage_tokens = part.usage.completion_tokens
        for choice in part.choices:
            texts = [(name, text) for name, text in _texts(choice) if text]
            self._chunks += bool(texts)
            for name, text in texts:
                self._hashes.setdefault(f"{choice.index} {name}", hashlib.sha256()).update(text.encode())
            if choice.finish_reason:
                self._finish_reasons[choice.index] = choice.finish_reason


def _texts(choice: _Choice) -> Iterator[tuple[str, str | None]]:
    """All that a model said, but no ids: those are made up anew for every answer."""
    yield "text", choice.text
    said = choice.delta or choice.message or _Said()
    yield "content", said.content
    yield "reasoning", said.reasoning or said.reasoning_content
    yield "refusal", said.refusal
    for place, call in enumerate(said.tool_calls or ()):
        number = place if call.index is None else call.index
        yield f"tool {number} name", call.function.name
        yield f"tool {number} arguments", call.function.arguments
