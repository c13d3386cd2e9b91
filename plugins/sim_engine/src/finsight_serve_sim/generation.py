"""When each token is due: places for so many answers at once, a first-token delay, a pace."""

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

    async def generate(self, output_tokens: int) -> AsyncGenerator[int]:
        """Yields how many tokens there are by now, growing to `output_tokens`; several at once if they are due."""
        arrived_s = anyio.current_time()
        async with self._place():
            options = self._options
            started_s = anyio.current_time()
            made = 0
            while made < output_tokens:
                await anyio.sleep_until(started_s + options.ttft_s + made * options.token_interval_s)
                if made == 0:
                    self._metrics.ttft_s.observe(anyio.current_time() - arrived_s)
                due = self._due(anyio.current_time() - started_s)
                batch = min(max(due - made, 1), BATCH_TOKENS, output_tokens - made)
                made += batch
                self._metrics.tokens.inc(batch)
                yield made

    def _due(self, elapsed_s: float) -> int:
        """How many tokens are due `elapsed_s` after the start."""
        late_s = elapsed_s - self._options.ttft_s
        interval_s = self._options.token_interval_s
        return int(late_s / interval_s) + 1 if interval_s else 2**62

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        self._metrics.waiting.inc()
        try:
            await self._places.acquire()
        finally:
            self._metrics.waiting.dec()
        self._metrics.running.inc()
        try:
            yield
        finally:
            self._metrics.running.dec()
            self._places.release()
