"""Replicas that listen beyond 127.0.0.1: on a second loopback address, so that no test opens a port to others."""

import tempfile
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest

from finsight_serve_ray import ports
from finsight_serve_ray.options import Options

from .conftest import Stack, of, ready, spec, until

pytestmark = pytest.mark.anyio
HOST = IPv4Address("127.0.0.2")


@pytest.fixture
async def elsewhere() -> AsyncIterator[Stack]:
    if not ports.is_ours(HOST):
        pytest.skip(f"this machine has no {HOST}")
    with tempfile.TemporaryDirectory(prefix="fs-") as folder:
        stack = Stack(Path(folder), Options(replica_host=HOST, health_check_period_s=1))
        try:
            yield stack
        finally:
            plugin = stack.plugin()
            await plugin.apply(plugin.compile(()))


async def test_replicas_listen_where_they_are_told_and_are_named_so(elsewhere: Stack) -> None:
    plugin = elsewhere.plugin()
    plan = plugin.compile((spec(),))
    await plugin.apply(plan)
    seen = await until(plugin, ready("chat", 1))
    host, _, port = of(seen, "chat")[0].address.partition(":")
    assert host == str(HOST) and seen.in_force == plan.artefacts
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        (await client.get(f"http://{host}:{port}/health")).raise_for_status()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/health")
    # what the cluster was started with names its replicas, whatever fs.yaml says by now
    changed = Stack(elsewhere.state_dir).plugin()
    assert of(await anext(changed.observe()), "chat") == of(seen, "chat")
