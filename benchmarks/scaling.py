"""How long a backend takes from more load to one more ready replica: its own machinery, and no delay of a policy."""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import httpx

from finsight_serve.controller.client import Client

from .load import Target
from .machine import Served, served

STREAMS = 30
TARGET = 10
POLL_S = 0.1
DEADLINE_S = 180.0


def measure(backend: str, options: Mapping[str, Any] | None, folder: Path, rounds: int) -> list[float]:
    """Seconds, one for each round."""
    with served([deployment()], folder, backend, options) as stack:
        return asyncio.run(_rounds(stack, rounds))


def deployment() -> dict[str, Any]:
    policy = {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": TARGET,
        "upscale_delay_s": 0,
        "downscale_delay_s": 0,
        "look_back_period_s": 2,
    }
    return {
        "name": "sim",
        "model": "sim",
        "engine": "sim",
        "engine_options": {"token_interval_s": 1.0},
        "policy": policy,
    }


def row(backend: str, took_s: Sequence[float]) -> dict[str, Any]:
    return {
        "backend": backend,
        "median_s": round(statistics.median(took_s), 1),
        "least_s": round(min(took_s), 1),
        "most_s": round(max(took_s), 1),
    }


async def _rounds(stack: Served, rounds: int) -> list[float]:
    client, target, took_s = Client(stack.folder), stack.whole_path("sim", "sim"), []
    async with httpx.AsyncClient(trust_env=False, timeout=None, limits=httpx.Limits(max_connections=None)) as http:
        for _ in range(rounds):
            await _until(client, 1)
            began_s = time.monotonic()
            streams = [asyncio.create_task(_hold(http, target)) for _ in range(STREAMS)]
            try:
                await _until(client, 2)
                took_s.append(time.monotonic() - began_s)
            finally:
                for stream in streams:
                    stream.cancel()
                await asyncio.gather(*streams, return_exceptions=True)
    return took_s


async def _until(client: Client, replicas: int) -> None:
    """So many are ready, and none else is there. Raises `click.ClickException` after the deadline."""
    ends_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends_s:
        status = await asyncio.to_thread(client.status)
        if status and [one.state for one in status.replicas] == ["ready"] * replicas:
            return
        await asyncio.sleep(POLL_S)
    raise click.ClickException(f"there were not {replicas} ready replicas within {DEADLINE_S:g} s")


async def _hold(http: httpx.AsyncClient, target: Target) -> None:
    body = {"model": target.model, "prompt": "Hello", "max_tokens": 1000, "stream": True}
    headers = {"Authorization": f"Bearer {target.key}"}
    async with http.stream("POST", f"http://{target.address}/v1/completions", json=body, headers=headers) as answer:
        async for _ in answer.aiter_bytes():
            pass
