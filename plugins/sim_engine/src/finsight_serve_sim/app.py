"""The engine as an ASGI app, without a framework: routes, the stream, and what faults do to them."""

import json
import os
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import anyio
from pydantic import ValidationError

from finsight_serve.replica_guard import App, Receive, Scope, Send, guard

from .generation import Generation
from .metrics import Metrics
from .openai_shapes import Answer, ApiError, ChatRequest, CompletionRequest, answer, parse_request
from .options import Faults, Options, parse_argv

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
JSON, SSE = b"application/json", b"text/event-stream; charset=utf-8"


async def factory(argv: Sequence[str]) -> App:
    """Loads and returns the app. Raises `RuntimeError` where the options say that loading fails."""
    model, options = parse_argv(argv)
    await anyio.sleep(options.load_s)
    if options.fail_load:
        raise RuntimeError(options.fail_load)
    return guard(SimApp(model, options))


class SimApp:
    def __init__(self, model: str, options: Options) -> None:
        self.model = options.served_model_name or model
        self.options = options
        self.faults = Faults.model_validate({name: getattr(options, name) for name in Faults.model_fields})
        self.completions = 0  # requests seen, so that errors are spread evenly
        self.started_s = int(time.time())
        self.metrics = Metrics(self.model)
        self.generation = Generation(options, self.metrics)
        self.routes: dict[tuple[str, str], Handler] = {
            ("GET", "/health"): self.health,
            ("GET", "/metrics"): self.show_metrics,
            ("GET", "/v1/models"): self.list_models,
            ("POST", "/v1/chat/completions"): self.chat,
            ("POST", "/v1/completions"): self.complete,
            ("GET", "/sim/faults"): self.show_faults,
            ("POST", "/sim/faults"): self.set_faults,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await follow_lifespan(receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1000})
        try:
            await self.find(scope["method"], scope["path"])(scope, receive, send)
        except ApiError as error:
            await respond(send, error.body, JSON, status=error.status)

    def find(self, method: str, path: str) -> Handler:
        handler = self.routes.get((method, path))
        if handler is not None:
            return handler
        if any(path == known for _, known in self.routes):
            raise ApiError(405, f"{method} is not allowed on {path}.")
        raise ApiError(404, f"There is no {path} here.")

    async def health(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"", JSON)

    async def show_metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, self.metrics.render(), b"text/plain; version=0.0.4; charset=utf-8")

    async def list_models(self, scope: Scope, receive: Receive, send: Send) -> None:
        model = {"id": self.model, "object": "model", "created": self.started_s, "owned_by": "sim"}
        await respond(send, json.dumps({"object": "list", "data": [model]}).encode(), JSON)

    async def show_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, self.faults.model_dump_json().encode(), JSON)

    async def set_faults(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replaces all faults: what the body leaves out goes back to normal, so `{}` ends them."""
        try:
            self.faults = Faults.model_validate_json(await read_body(receive))
        except ValidationError as error:
            raise ApiError(400, str(error)) from None
        await self.show_faults(scope, receive, send)

    async def chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answer(ChatRequest, "chatcmpl-" + request_id(scope), receive, send)

    async def complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answer(CompletionRequest, "cmpl-" + request_id(scope), receive, send)

    async def answer(
        self, shape: type[ChatRequest] | type[CompletionRequest], id: str, receive: Receive, send: Send
    ) -> None:
        body = await read_body(receive)
        faults = self.faults
        self.completions += 1
        request = parse_request(shape, body)
        if request.model != self.model:
            raise ApiError(
                404, f"The model `{request.model}` does not exist.", "not_found_error", "model", "model_not_found"
            )
        if is_hit(self.completions, faults.error_rate):
            raise ApiError(faults.error_status, "The simulated engine failed.", "server_error")
        if faults.wrong:
            return await respond(send, b"<html><body>It works!</body></html>", b"text/html")
        whole = answer(
            request,
            id=id,
            created_s=int(time.time()),
            default_output_tokens=self.options.output_tokens,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_disconnect, receive, tasks.cancel_scope)
            if faults.hang:
                await anyio.sleep_forever()
            await (self.stream if request.stream else self.send_whole)(whole, faults, send)
            tasks.cancel_scope.cancel()

    async def stream(self, whole: Answer, faults: Faults, send: Send) -> None:
        sent = 0
        async with aclosing(self.generation.generate(whole.output_tokens)) as generated:
            async for made in generated:
                if sent == 0:
                    await start_response(send, 200, SSE)
                    await send_part(send, whole.first_event())
                stop = stop_at(faults, made)
                await send_part(send, whole.token_events(sent, made if stop is None else stop))
                if stop is not None:
                    return await break_off(faults, send)
                sent = made
        await send_part(send, whole.last_events(), more=False)

    async def send_whole(self, whole: Answer, faults: Faults, send: Send) -> None:
        async with aclosing(self.generation.generate(whole.output_tokens)) as generated:
            async for made in generated:
                stop = stop_at(faults, made)
                if stop is not None:
                    await start_response(send, 200, JSON)
                    await send_part(send, whole.body[: len(whole.body) * stop // (whole.output_tokens + 1)])
                    return await break_off(faults, send)
        await respond(send, whole.body, JSON)


def is_hit(count: int, rate: float) -> bool:
    """Whether the `count`-th event is one of the share `rate`; after n events exactly floor(n * rate) were."""
    return int(count * rate) > int((count - 1) * rate)


def stop_at(faults: Faults, made: int) -> int | None:
    """The token at which the answer must stop, if `made` tokens reach it."""
    limits = [limit for limit in (faults.truncate_after_tokens, faults.crash_after_tokens) if limit is not None]
    return min(limits) if limits and min(limits) <= made else None


async def break_off(faults: Faults, send: Send) -> None:
    if faults.crash_after_tokens is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    if faults.truncation == "silent":
        await send_part(send, b"", more=False)
    # else the server sees an answer without its end, and closes the connection with the body unterminated


async def cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def follow_lifespan(receive: Receive, send: Send) -> None:
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


def request_id(scope: Scope) -> str:
    """As vLLM takes it: whoever asks may say which request this is."""
    given: bytes | None = dict(scope["headers"]).get(b"x-request-id")
    return given.decode("latin-1") if given else uuid.uuid4().hex


async def read_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(499, "The client closed the connection.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def respond(send: Send, body: bytes, content_type: bytes, status: int = 200) -> None:
    await start_response(send, status, content_type, [(b"content-length", str(len(body)).encode())])
    await send_part(send, body, more=False)


async def start_response(
    send: Send, status: int, content_type: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), *headers]}
    )


async def send_part(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
