"""When each token is due: places for so many answers at once, a first-token delay, a pace that slows as they fill."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio

from .metrics import Metrics
from .options import Options

BATCH_TOKENS = 64  # at most so many are due at once: without a pace an answer must not hold the event loop


class Generation:
    def __init__(self, options: Options, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._places = anyio.Semaphore(options.max_num_seqs)
        self._running = 0

    async def generate(self, output_tokens: int) -> AsyncGenerator[int]:
        """Yields how many tokens there are by now, growing to `output_tokens`; several at once if they are due."""
        arrived_s = anyio.current_time()
        async with self._place():
            due_s = anyio.current_time() + self._options.ttft_s
            made = 0
            while made < output_tokens:
                await anyio.sleep_until(due_s)
                now_s = anyio.current_time()
                if made == 0:
                    self._metrics.ttft_s.observe(now_s - arrived_s)
                interval_s, batch = self._interval_s, 0
                while batch == 0 or (due_s <= now_s and batch < min(BATCH_TOKENS, output_tokens - made)):
                    batch += 1
                    due_s += interval_s
                made += batch
                self._metrics.tokens.inc(batch)
                yield made

    @property
    def _interval_s(self) -> float:
        """Until the next token, with as many answers under way as there are now."""
        return self._options.token_interval_s + self._options.batch_token_interval_s * (self._running - 1)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        self._metrics.waiting.inc()
        try:
            await self._places.acquire()
        finally:
            self._metrics.waiting.dec()
        self._metrics.running.inc()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._metrics.running.dec()
            self._places.release()
