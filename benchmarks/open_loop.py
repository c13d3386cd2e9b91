"""An open loop: requests come when they come (Poisson), each on a connection of its own, whatever becomes of others."""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .load import DONE, Target

Became = Literal["whole", "refused", "given_up", "broken"]


@dataclass(frozen=True)
class Sent:
    tenant: str
    at_s: float  # since the load began
    became: Became
    ttft_s: float | None  # to the body's first byte, of an answer with status 200


async def run_open_loop(
    targets: Mapping[str, Target],
    rates_per_s: Mapping[str, float],
    body: Mapping[str, Any],
    *,
    duration_s: float,
    patience_s: float,
    seed: int,
) -> "list[asyncio.Task[Sent]]":
    """Returns when the last one has been sent; those that still wait are awaited by the caller.

    `targets` and `rates_per_s` are by tenant. A client hangs up after `patience_s` without a whole answer.
    """
    start_s = time.perf_counter()
    sent: list[asyncio.Task[Sent]] = []

    async def ask_for(tenant: str, rate_per_s: float) -> None:
        draws = random.Random(f"{seed} {tenant}")
        request = targets[tenant].request(body)
        due_s = draws.expovariate(rate_per_s)
        while due_s < duration_s:
            await asyncio.sleep(due_s - (time.perf_counter() - start_s))
            sent.append(asyncio.create_task(ask(targets[tenant], request, tenant, due_s, patience_s)))
            due_s += draws.expovariate(rate_per_s)

    await asyncio.gather(*(ask_for(tenant, rate) for tenant, rate in rates_per_s.items()))
    return sent


async def ask(target: Target, request: bytes, tenant: str, at_s: float, patience_s: float) -> Sent:
    seen: dict[str, float] = {}
    try:
        async with asyncio.timeout(patience_s):
            became = await _answer(target, request, seen)
    except TimeoutError:
        became = "given_up"
    except (OSError, asyncio.IncompleteReadError):
        became = "broken"
    return Sent(tenant, at_s, became, seen.get("ttft_s"))


async def _answer(target: Target, request: bytes, seen: dict[str, float]) -> Became:
    host, _, port = target.address.rpartition(":")
    began_s = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request.replace(b"\r\nHost:", b"\r\nConnection: close\r\nHost:", 1))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            return "refused" if b" 503 " in head.partition(b"\r\n")[0] else "broken"
        tail = b""
        while data := await reader.read(65536):
            seen.setdefault("ttft_s", time.perf_counter() - began_s)
            tail = (tail + data)[-64:]
        return "whole" if DONE in tail else "broken"
    finally:
        writer.close()
