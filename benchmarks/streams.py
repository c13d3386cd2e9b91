"""Time to first token and streams per second: the bare engine against the whole path, one after the other in turn."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .figures import StreamRow, stream_rows
from .load import Loop, Target, run_loops
from .machine import say

ROUNDS = 3
OUTPUT_TOKENS = 16
CONNECTIONS = (1, 32)


def prompts() -> Iterator[Mapping[str, Any]]:
    """Streamed requests of one length, no two alike, so that no cache answers for the engine."""
    for number in itertools.count(10_000):
        yield {
            "prompt": f"Question {number}: what is the capital of France, and what is it known for?",
            "max_tokens": OUTPUT_TOKENS,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
        }


def measure(model: str, targets: Sequence[Target], *, cell_s: float, with_goal: bool) -> list[StreamRow]:
    """`targets`: the bare engine's first. Only one is busy at a time; a first short round warms them up."""
    bodies = prompts()
    for target in targets:
        _run(target, bodies, connections=CONNECTIONS[-1], duration_s=2.0)
    rows = []
    for connections in CONNECTIONS:
        runs: dict[str, list[list[Loop]]] = {target.name: [] for target in targets}
        for turn in range(ROUNDS):
            say(f"{model}, {connections} connections, round {turn + 1} of {ROUNDS}")
            for target in targets if turn % 2 == 0 else reversed(targets):  # none always follows the same other
                runs[target.name].append(_run(target, bodies, connections=connections, duration_s=cell_s))
        rows += stream_rows(model, connections, runs, with_goal=with_goal)
    return rows


def _run(target: Target, bodies: Iterator[Mapping[str, Any]], *, connections: int, duration_s: float) -> list[Loop]:
    return asyncio.run(run_loops(target, lambda: next(bodies), connections=connections, duration_s=duration_s))
