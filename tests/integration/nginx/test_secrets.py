"""No key of a client, good or bad, is found in nginx's folder or in its processes' arguments."""

import anyio
import psutil
import pytest

from .edge import Edge, route
from .upstream import says

pytestmark = pytest.mark.anyio

MARK = "MARK7f3a"
GOOD = f"sk-good-{MARK}"


async def raw(edge: Edge, head: str) -> None:
    host, port = edge.plugin.url.removeprefix("http://").split(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        with anyio.move_on_after(2):
            await stream.send(head.encode("latin-1"))
            await stream.receive()


async def test_no_key_is_written_anywhere(edge: Edge) -> None:
    replica = await edge.upstream(says(200, {"usage": {"prompt_tokens": 9, "completion_tokens": 9}}))
    edge.shadow_socket = str(edge.state_dir / "nobody.sock")
    limits = {"requests_per_s": 2, "tokens_per_minute": 5, "shadow_percent": 100}
    await edge.apply(route(key=GOOD, **limits), route("other", f"sk-other-{MARK}"))
    statuses = [(await edge.get(key=GOOD)).status_code for _ in range(4)]
    assert statuses[0] == 200 and statuses[-1] == 429
    assert (await edge.get(key=f"sk-bad-{MARK}")).status_code == 401
    await edge.get(f"/v1/models?api_key={GOOD}", key=f"sk-other-{MARK}", headers={"Referer": GOOD, "X-Api-Key": GOOD})
    for line in (
        f"Bearer {MARK} {MARK}",
        f"Basic {MARK}",
        f"Bearer{MARK}",
        f"Bearer \x01{MARK}",
        f'Bearer {MARK}"\\',
        "Bearer " + MARK * 4000,
    ):
        await raw(edge, f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: {line}\r\nConnection: close\r\n\r\n")
    await raw(edge, f"GET /v1/{MARK} HTTP/9\r\n\r\n")
    await raw(edge, f"{MARK}\r\n\r\n")
    await replica.stop()
    await edge.get(key=f"sk-other-{MARK}", headers={"X-Session-Id": "s"})
    await edge.rows(6)
    files = [path for path in edge.state_dir.rglob("*") if path.is_file()]
    assert {"current.log", "error.log", "nginx.conf", "tenants.conf"} <= {path.name for path in files}
    assert [path.name for path in files if MARK.encode() in path.read_bytes()] == []
    processes = [psutil.Process(pid) for pid in edge.family().pids]
    assert len(processes) >= 3
    assert MARK not in repr([(process.cmdline(), process.environ()) for process in processes])
    assert not any(MARK in repr(request.headers) for request in replica.seen)
