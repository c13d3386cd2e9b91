"""A closed loop over keep-alive connections: each sends its next request when the last answer has ended."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httptools

DONE = b"[DONE]"


@dataclass(frozen=True)
class Target:
    """An OpenAI-compatible endpoint on this machine."""

    name: str
    address: str  # host:port
    model: str
    key: str = ""
    more_keys: tuple[str, ...] = ()  # used in turn with `key`, where the generator can
    path: str = "/v1/completions"

    def request(self, body: Mapping[str, Any]) -> bytes:
        payload = json.dumps({"model": self.model, **body}).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.address}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        return head.encode() + payload


@dataclass(frozen=True)
class Answer:
    ended_s: float  # since the loop began
    ttft_s: float  # from the request's last byte written to the body's first byte read
    good: bool  # status 200, and a stream came with its terminal event


@dataclass(frozen=True)
class Loop:
    """What one connection did. What was open at the end is left out."""

    answers: tuple[Answer, ...]

    @property
    def rate_per_s(self) -> float:
        """Over the time to its last answer, so that the open one at the end does not count as idleness."""
        good = sum(answer.good for answer in self.answers)
        return good / self.answers[-1].ended_s if self.answers else 0.0


Body = Callable[[], Mapping[str, Any]]


async def run_loops(target: Target, body: Body, *, connections: int, duration_s: float) -> list[Loop]:
    """Raises `OSError` if the target can't be reached."""
    start_s = time.perf_counter()
    answers: list[list[Answer]] = [[] for _ in range(connections)]
    loops = [asyncio.create_task(_run_loop(target, body, start_s, of_one)) for of_one in answers]
    done, running = await asyncio.wait(loops, timeout=duration_s, return_when=asyncio.FIRST_EXCEPTION)
    for loop in running:
        loop.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for loop in done:
        loop.result()
    return [Loop(tuple(of_one)) for of_one in answers]


async def _run_loop(target: Target, body: Body, start_s: float, answers: list[Answer]) -> None:
    """For ever; connects again when the server closed the connection, as nginx does after a thousand requests."""
    host, _, port = target.address.rpartition(":")
    while True:
        await _use(_Connection(target, body, start_s, answers), host, int(port))


async def _use(connection: "_Connection", host: str, port: int) -> None:
    try:
        await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
        await connection.ended
    finally:
        connection.close()


class _Connection(asyncio.Protocol):
    """Also the parser's handler: its `on_…` methods are called as the answer comes in."""

    def __init__(self, target: Target, body: Body, start_s: float, answers: list[Answer]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._target, self._body, self._start_s, self._answers = target, body, start_s, answers
        self._open = self._streams = self._keeps_alive = False
        self._sent_s = self._first_s = 0.0
        self._tail = b""
        self._transport: asyncio.WriteTransport | None = None

    def close(self) -> None:
        """What is open now is no answer, good or bad."""
        self.ended.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send(transport)

    def _send(self, transport: asyncio.WriteTransport) -> None:
        body = self._body()
        self._streams = bool(body.get("stream"))
        self._parser = httptools.HttpResponseParser(self)
        self._tail, self._first_s, self._open = b"", 0.0, True
        transport.write(self._target.request(body))
        self._sent_s = time.perf_counter()

    def data_received(self, data: bytes) -> None:
        if self.ended.done() or self._transport is None:
            return
        self._parser.feed_data(data)
        if self._open:
            return
        if self._keeps_alive:
            self._send(self._transport)
        else:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        if self._open and not self.ended.done():
            self._note(good=False)
        self._end()

    def on_body(self, part: bytes) -> None:
        if not self._first_s:
            self._first_s = time.perf_counter()
        self._tail = (self._tail + part)[-len(DONE) - 8 :]

    def on_message_complete(self) -> None:
        self._keeps_alive = self._parser.should_keep_alive()  # the parser knows it only here
        self._note(good=self._parser.get_status_code() == 200 and (not self._streams or DONE in self._tail))

    def _note(self, *, good: bool) -> None:
        self._open = False
        now_s = time.perf_counter()
        self._answers.append(Answer(now_s - self._start_s, (self._first_s or now_s) - self._sent_s, good))

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
