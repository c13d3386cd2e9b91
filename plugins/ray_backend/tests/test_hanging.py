import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest

from finsight_serve_ray.hanging import find_hanging, kill, told_to_go, without

pytestmark = pytest.mark.anyio
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def port(answer: bytes | None) -> AsyncIterator[str]:
    """Answers every connection, or takes it and says nothing."""
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await released.wait()
        writer.write(answer or b"")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        released.set()
        server.close()


async def test_only_the_silent_one_hangs() -> None:
    async with port(HEALTHY) as well, port(None) as silent, port(b"") as closes:
        dead = "127.0.0.1:1"
        known = {"well": well, "silent": silent, "closes": closes, "dead": dead}
        assert await find_hanging(known, lambda: httpx.AsyncClient(trust_env=False)) == {"silent"}


def test_the_untold_are_left_out_and_the_rest_stays() -> None:
    app = {"name": "a", "deployments": [{"name": "d", "user_config": {"evict": ["one", "two"]}, "x": 1}]}
    assert told_to_go([app]) == {"one", "two"}
    found = without(app, frozenset({"two"}))
    assert found == {"name": "a", "deployments": [{"name": "d", "user_config": {"evict": ["one"]}, "x": 1}]}
    assert app["deployments"][0]["user_config"]["evict"] == ["one", "two"], "the plan itself is not changed"


def test_a_pid_that_is_no_replica_any_more_is_left_alone() -> None:
    kill([psutil.Process().pid, 2**22 + 1])
    assert psutil.Process().is_running()
