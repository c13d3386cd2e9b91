"""A replica made of one socket: it answers as it is told, and remembers what reached it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


Answer = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def plain(status: int, body: bytes, content_type: str = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def stream_head(*headers: str) -> bytes:
    return STREAM_HEAD[:-2] + "".join(f"{header}\r\n" for header in headers).encode() + b"\r\n"


def event(text: str, finish: str | None = None) -> bytes:
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [delta]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def says(status: int, body: object, *headers: str) -> Answer:
    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(status, json.dumps(body).encode(), "application/json", *headers))

    return answer


def completion(text: str = "Paris") -> dict[str, object]:
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [message]}


def speaker() -> bytes:
    """What vLLM sends first: who speaks, and no text yet."""
    delta = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [delta]}).encode() + b"\n\n"


def usage_event(usage: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps({"id": "c", "choices": [], "usage": usage}, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def sends(*pieces: bytes) -> Answer:
    """A stream in these pieces; nginx sees each as a buffer of its own."""

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, pieces)) + b"0\r\n\r\n")

    return answer


def framed(body: bytes, length: int | None = None, content_type: str = "application/json") -> Answer:
    """An answer of an announced length, which may be wrong, or one that ends with its connection."""
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}"]
    lines += ["Connection: close"] if length is None else [f"Content-Length: {length}"]

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    return answer


async def whole_stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + b"".join(chunk(event(f"w{n} ")) for n in range(5)))
    writer.write(chunk(event("", "stop")) + chunk(b"data: [DO") + chunk(b"NE]\n\n") + b"0\r\n\r\n")


async def unfinished_stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Ends in good order as HTTP, but without the terminal event."""
    writer.write(STREAM_HEAD + chunk(event("half")) + b"0\r\n\r\n")


async def reset_stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(event("half")))
    await writer.drain()
    writer.transport.abort()


async def closed_stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(event("half")))
    await writer.drain()
    writer.close()


@dataclass
class Held:
    """A stream that stops after its first event until it is let go."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # nginx hung up first
    head: bytes = STREAM_HEAD

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(self.head + chunk(event("first")))
        await writer.drain()
        try:
            await self.go.wait()
        finally:
            if not self.go.is_set():
                self.gone.set()
        writer.write(chunk(event("last", "stop")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


class Upstream:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.address = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> "Upstream":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**25)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        """As a killed process: every connection is reset, and new ones are refused."""
        if self._server:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._writers.add(writer)
        self._tasks.add(task)
        ahead = b""
        try:
            while True:
                self.seen.append(await read_request(ahead, reader))
                ahead = await self._answer_unless_gone(reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _answer_unless_gone(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """What was read of the next request while waiting for the peer to leave."""
        answering = asyncio.ensure_future(self.answer(self.seen[-1], writer))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
            leaving.cancel()
            _, ahead = await asyncio.gather(answering, leaving, return_exceptions=True)
        if ahead == b"":
            raise ConnectionError("the peer has left")
        return ahead if isinstance(ahead, bytes) else b""


async def read_request(ahead: bytes, reader: asyncio.StreamReader) -> Seen:
    head = ahead + await reader.readuntil(b"\r\n\r\n")
    request, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = request.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Seen(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))
