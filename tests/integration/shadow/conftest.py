"""Two real replicas under one served name, and the shadow client on a real socket."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from finsight_serve.controller.probing import Target
from finsight_serve.controller.shadowing import Shadower, ShadowPair
from finsight_serve.domain.shadow import ShadowReport
from finsight_serve.plugin import Replica
from finsight_serve.processes import SystemClock
from finsight_serve.testing.waiting import wait_for
from finsight_serve_sim.options import Options
from finsight_serve_sim.sim_engine import SimEngine

from ..engines.server import KEY, Server, started

MODEL, TENANT = "chat", "desk"


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """The destination takes ten times as long to its first token, and twice as long to each further one."""
    logs = tmp_path_factory.mktemp("logs")
    speeds = {
        "source": {"ttft_s": 0.03, "token_interval_s": 0.01},
        "destination": {"ttft_s": 0.3, "token_interval_s": 0.02},
    }
    with ExitStack() as stack:
        servers = {}
        for name, speed in speeds.items():
            launch = SimEngine(Options(served_model_name=MODEL, **speed), env=None).launch(f"model-of-{name}")
            servers[name] = stack.enter_context(started(launch, logs / name))
        for server in servers.values():
            server.wait_until_healthy(30)
        yield servers


@pytest.fixture(autouse=True)
def no_faults(replicas: dict[str, Server]) -> Iterator[None]:
    yield
    for server in replicas.values():
        set_faults(server)


def set_faults(server: Server, **faults: Any) -> None:
    with server.connect() as http:
        http.post("/sim/faults", json=faults).raise_for_status()


def target(name: str, server: Server) -> Target:
    return Target(Replica(name, name, server.url.removeprefix("http://"), "ready"), MODEL, KEY)


class Shadow:
    def __init__(self, folder: Path, http: httpx.AsyncClient, replicas: dict[str, Server]) -> None:
        self.folder = folder
        self.socket = folder / "shadow.sock"
        self.said: list[str] = []
        self.shadower = Shadower(http, SystemClock(), self.said.append, timeout_s=10)
        pair = ShadowPair("m-1", *((target(name, replicas[name]),) for name in ("source", "destination")))
        self.shadower.pairs = {TENANT: pair}

    @property
    def report(self) -> ShadowReport:
        return self.shadower.reports()["m-1"]

    async def copy(self, body: dict[str, Any]) -> int:
        """As the load balancer sends one."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://shadow") as http:
            answer = await http.post("/v1/chat/completions", json=body, headers={"X-Finsight-Tenant": TENANT})
        return answer.status_code

    async def after(self, pairs: int) -> ShadowReport:
        await wait_for(lambda: self.report.pairs >= pairs)
        return self.report


@pytest.fixture
async def shadow(replicas: dict[str, Server]) -> AsyncIterator[Shadow]:
    folder = Path(tempfile.mkdtemp())  # a unix socket's path must be short
    async with httpx.AsyncClient(trust_env=False) as http, anyio.create_task_group() as tasks:
        shadow = Shadow(folder, http, replicas)
        tasks.start_soon(shadow.shadower.run, shadow.socket)
        await wait_for(shadow.socket.exists)
        yield shadow
        tasks.cancel_scope.cancel()
    shutil.rmtree(folder)
