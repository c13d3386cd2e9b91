"""OpenAI's requests, answers, stream events and errors. Pure; one word is one token."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Positive = Annotated[int, Field(ge=1)]
DONE = b"data: [DONE]\n\n"


@dataclass(eq=False)
class ApiError(Exception):
    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None

    @property
    def body(self) -> bytes:
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()


class StreamOptions(BaseModel):
    include_usage: bool = False


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore")  # sampling parameters change nothing here

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Literal[1] | None = None


class Part(BaseModel):
    type: str
    text: str = ""


class ChatMessage(BaseModel):
    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(_Request):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]

    @property
    def prompt_words(self) -> list[str]:
        return [word for message in self.messages for word in message.text.split()]

    @property
    def echoed_words(self) -> list[str]:
        return self.messages[-1].text.split()


class CompletionRequest(_Request):
    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)] | Annotated[list[int], Field(min_length=1)]

    @property
    def prompt_words(self) -> list[str]:
        prompt = self.prompt
        return prompt.split() if isinstance(prompt, str) else [w for item in prompt for w in str(item).split()]

    @property
    def echoed_words(self) -> list[str]:
        return self.prompt_words


def parse_request(shape: type[ChatRequest] | type[CompletionRequest], body: bytes) -> ChatRequest | CompletionRequest:
    """Raises `ApiError` (400) naming the first bad field, or that the body is no JSON object."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = f"{field}: {first['msg']}" if field else first["msg"]
        raise ApiError(400, message, param=field or None) from None


@dataclass(frozen=True)
class Answer:
    """The whole answer, known before it is sent: the request's last message, word by word, repeated to its length."""

    id: str
    created_s: int
    model: str
    chat: bool
    words: Sequence[str]
    prompt_tokens: int
    output_tokens: int
    finish_reason: Literal["stop", "length"]
    include_usage: bool

    def token(self, index: int) -> str:
        return ("" if index == 0 else " ") + self.words[index % len(self.words)]

    def text(self, tokens: int) -> str:
        return "".join(self.token(index) for index in range(tokens))

    @property
    def usage(self) -> Mapping[str, int]:
        total = self.prompt_tokens + self.output_tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.output_tokens, "total_tokens": total}

    @property
    def body(self) -> bytes:
        text = self.text(self.output_tokens)
        content = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": self.finish_reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return json.dumps({**self._head(kind), "choices": [choice], "usage": self.usage}).encode()

    def first_event(self) -> bytes:
        return self._event({"delta": {"role": "assistant", "content": ""}}) if self.chat else b""

    def token_events(self, first: int, after: int) -> bytes:
        """The events of tokens `first` to `after - 1`, one event per token."""
        before, behind = self._frame
        return b"".join(before + json.dumps(self.token(index)).encode() + behind for index in range(first, after))

    def last_events(self) -> bytes:
        last = self._event({"delta": {}} if self.chat else {"text": ""}, self.finish_reason)
        if self.include_usage:
            last += _sse({**self._head(self._chunk_kind), "choices": [], "usage": self.usage})
        return last + DONE

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created_s, "model": self.model}

    def _event(self, content: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}
        return _sse({**self._head(self._chunk_kind), "choices": [choice]})

    @cached_property
    def _frame(self) -> tuple[bytes, bytes]:
        """A token's event up to its text and after it: encoding all of it per token would take most of the time."""
        mark = uuid.uuid4().hex
        event = self._event({"delta": {"content": mark}} if self.chat else {"text": mark})
        before, _, behind = event.partition(json.dumps(mark).encode())
        return before, behind


def answer(request: ChatRequest | CompletionRequest, *, id: str, created_s: int, default_output_tokens: int) -> Answer:
    limit = request.max_completion_tokens or request.max_tokens
    return Answer(
        id=id,
        created_s=created_s,
        model=request.model,
        chat=isinstance(request, ChatRequest),
        words=request.echoed_words or ["nothing"],
        prompt_tokens=len(request.prompt_words),
        output_tokens=limit or default_output_tokens,
        finish_reason="length" if limit else "stop",
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
    )


def _sse(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
