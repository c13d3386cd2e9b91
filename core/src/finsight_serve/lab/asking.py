"""Streams of an OpenAI-compatible endpoint, timed. What is said and answered is thrown away."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import anyio
import httpx

from ..env import Clock
from ..errors import one_line
from .capacity import Answer, Ask

WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog")


class SteadyClock:
    """Seconds of the event loop: they never step back."""

    def now(self) -> float:
        return anyio.current_time()

    async def sleep(self, delay_s: float) -> None:
        await anyio.sleep(delay_s)


@dataclass(frozen=True)
class Endpoint:
    url: str  # http://host:port
    model: str
    key: str
    prompt_words: int = 100
    output_tokens: int = 64
    timeout_s: float = 120.0


@asynccontextmanager
async def connect(endpoint: Endpoint, clock: Clock) -> AsyncIterator[Ask]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    numbers = count()
    async with httpx.AsyncClient(
        base_url=endpoint.url, headers=headers, limits=limits, timeout=None, trust_env=False
    ) as client:

        async def ask(planned_s: float) -> Answer:
            body = {
                "model": endpoint.model,
                # a number first, so that no two have a prefix that an engine could have cached
                "prompt": " ".join(
                    [str(next(numbers)), *(WORDS[i % len(WORDS)] for i in range(endpoint.prompt_words))]
                ),
                "max_tokens": endpoint.output_tokens,
                "stream": True,
            }
            ttft_s, fault = float("inf"), "the stream ended early"
            try:
                with anyio.fail_after(endpoint.timeout_s):
                    async with client.stream("POST", "/v1/completions", json=body) as response:
                        if response.status_code != 200:
                            fault = f"HTTP status {response.status_code}"
                        async for line in response.aiter_lines():
                            if line == "data: [DONE]" and ttft_s < float("inf"):
                                fault = ""
                            elif ttft_s == float("inf") and _has_token(line):
                                ttft_s = clock.now() - planned_s
            except TimeoutError:
                fault = f"no end within {endpoint.timeout_s:g} s"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                fault = one_line(error)
            return Answer(planned_s, ttft_s, clock.now() - planned_s, fault)

        yield ask


def _has_token(line: str) -> bool:
    if not line.startswith("data: {"):
        return False
    try:
        return bool(json.loads(line[6:])["choices"])  # its text may be empty: half a character is a token too
    except (ValueError, KeyError, TypeError):
        return False
