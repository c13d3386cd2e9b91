"""Requests per second with an engine that does nothing: what nginx, Ray's default proxy and a replica can take."""

from collections.abc import Sequence

from .figures import RateRow, rate_rows
from .generator import OwnGenerator, Rate, Wrk
from .load import Target
from .machine import say

ROUNDS = 3
CONNECTIONS = 32
BODY = {"prompt": "Hello", "max_tokens": 1}


def measure(
    generator: OwnGenerator | Wrk, targets: Sequence[Target], *, whole_path: str, default_proxy: str, cell_s: float
) -> list[RateRow]:
    runs: dict[str, list[Rate]] = {target.name: [] for target in targets}
    for target in targets:
        generator.run(target, BODY, connections=CONNECTIONS, duration_s=2.0)
    for turn in range(ROUNDS):
        say(f"requests/s at {CONNECTIONS} connections, round {turn + 1} of {ROUNDS}")
        for target in targets if turn % 2 == 0 else reversed(targets):
            runs[target.name].append(generator.run(target, BODY, connections=CONNECTIONS, duration_s=cell_s))
    return rate_rows(runs, whole_path=whole_path, default_proxy=default_proxy)
