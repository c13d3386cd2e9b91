"""A steady load of streams by OpenAI's own client, and the client's ledger of how each of them ended."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from threading import Thread
from typing import Literal

import anyio
import httpx
from openai import AsyncOpenAI, OpenAIError

Outcome = Literal["whole", "failed", "truncated"]
PAUSE_AFTER_FAILURE_S = 0.2
TIMEOUT_S = 120.0
DONE = b"data: [DONE]"


@dataclass(frozen=True)
class Answer:
    """`failed`: not a byte of an answer came. `truncated`: some did, but not the whole of it."""

    outcome: Outcome
    began_s: float  # monotonic, as `ended_s`
    ended_s: float
    request_id: str  # the load balancer's; "" where it gave none
    why: str


@dataclass
class Seen:
    """What the wire showed of one answer, before the client library made something of it."""

    status: int = 0
    request_id: str = ""
    body_bytes: int = 0
    tail: bytes = b""


class WatchedTransport(httpx.AsyncBaseTransport):
    """One request at a time. The client library swallows the terminal event, so it is looked for here."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=False)
        self.seen = Seen()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen = Seen()
        response = await self._inner.handle_async_request(request)
        self.seen.status = response.status_code
        self.seen.request_id = response.headers.get("x-request-id", "")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        stream = _WatchedStream(response.stream, self.seen)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _WatchedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, seen: Seen) -> None:
        self._inner, self._seen = inner, seen

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            self._seen.body_bytes += len(part)
            self._seen.tail = (self._seen.tail + part)[-200:]
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


class Load:
    """`workers` clients, each asking for streams of `tokens` tokens one after the other, from `with` to its end.

    What is open at the end is waited for. With `rounds`, each client asks so many times and is done.
    """

    def __init__(
        self, url: str, key: str, model: str, *, workers: int = 8, tokens: int = 30, rounds: int | None = None
    ) -> None:
        self.answers: list[Answer] = []
        self.streaming = 0  # streams whose first token has come and whose last has not
        self._url, self._key, self._model = url, key, model
        self._workers, self._tokens, self._rounds = workers, tokens, rounds
        self._stopped = False
        self._thread = Thread(target=anyio.run, args=(self._run,), name="load", daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join(TIMEOUT_S + 10)

    def join(self) -> None:
        """Until the rounds are over."""
        self._thread.join(TIMEOUT_S + 10)

    def count(self, outcome: Outcome) -> int:
        return sum(answer.outcome == outcome for answer in self.answers.copy())

    def not_whole(self) -> list[Answer]:
        return [answer for answer in self.answers.copy() if answer.outcome != "whole"]

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(self._workers):
                tasks.start_soon(self._work)

    async def _work(self) -> None:
        async with Caller(self._url, self._key, self._model) as caller:
            done = 0
            while not self._stopped and done != self._rounds:
                answer = await caller.ask(self._tokens, self._count)
                self.answers.append(answer)
                done += 1
                if answer.outcome == "failed":
                    await anyio.sleep(PAUSE_AFTER_FAILURE_S)  # else a dead server would be asked without end

    def _count(self, change: int) -> None:
        self.streaming += change


class Caller:
    """One client with a connection of its own; one request at a time."""

    def __init__(self, url: str, key: str, model: str) -> None:
        self._url, self._key, self._model = url, key, model
        self._transport = WatchedTransport()

    async def __aenter__(self) -> "Caller":
        self._http = httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False)
        self._client = AsyncOpenAI(base_url=self._url, api_key=self._key, http_client=self._http, max_retries=0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(self, tokens: int, on_streaming: Callable[[int], None] = lambda change: None) -> Answer:
        """`on_streaming` is told 1 with the first token and -1 at the end of a stream that had one."""
        began_s = time.monotonic()
        content = usage = 0
        finish, error = "", ""
        try:
            stream = await self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": "a steady load of streams"}],
                max_tokens=tokens,
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"ignore_eos": True},
            )
            async for chunk in stream:
                usage = chunk.usage.completion_tokens if chunk.usage else usage
                for choice in chunk.choices:
                    finish = choice.finish_reason or finish
                    if choice.delta.content:
                        content += 1
                        if content == 1:
                            on_streaming(1)
        except OpenAIError as raised:
            error = f"{type(raised).__name__}: {raised}"[:200]
        except Exception as raised:  # the library lets through what the wire did, now and then
            error = f"{type(raised).__name__}: {raised}"[:200]
        finally:
            if content:
                on_streaming(-1)
        seen = self._transport.seen
        whole = not error and finish and DONE in seen.tail and usage == tokens
        begun = seen.status == 200 and seen.body_bytes > 0
        outcome: Outcome = "whole" if whole else "truncated" if begun else "failed"
        why = "" if whole else error or f"finish {finish!r}, {content} tokens, usage {usage}, ends {seen.tail[-40:]!r}"
        return Answer(outcome, began_s, time.monotonic(), seen.request_id, f"{seen.status} {why}".strip())
