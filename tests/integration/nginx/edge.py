"""A load balancer on real nginx, in a folder and on a port of its own."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import httpx
import openai

from finsight_serve.env import Env
from finsight_serve.plugin import Limits, Plan, Replica, Request, Route, RouteTable
from finsight_serve.processes import SystemClock, SystemProcesses
from finsight_serve.testing.real_env import find_free_port
from finsight_serve_nginx import family
from finsight_serve_nginx.control import Control, Open
from finsight_serve_nginx.options import Options
from finsight_serve_nginx.plugin import NginxLoadBalancer

from .upstream import Answer, Upstream

KEY = "sk-desk"
UPSTREAM_KEY = "replica-secret"


def route(
    tenant: str = "desk",
    key: str = KEY,
    weights: dict[str, int] | None = None,
    limit: int | None = None,
    shadow_percent: int = 0,
    **limits: Any,
) -> Route:
    weights = {"chat": 100} if weights is None else weights
    return Route(tenant, (sha256(key.encode()).hexdigest(),), weights, Limits(limit, **limits), shadow_percent)


class Edge:
    def __init__(self, state_dir: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.state_dir = state_dir
        listen = f"127.0.0.1:{find_free_port()}"
        self.options = Options(**{"listen": listen, "drain_timeout_s": 3, "workers": 2, **options})
        self.plugin = self.another()
        self.control = Control(state_dir / "control.sock")
        self.upstreams: list[Upstream] = []
        self.version = 0
        self.shadow_socket = ""
        self.keys = {"chat": UPSTREAM_KEY}
        self.spares: dict[str, str] = {}

    def another(self) -> NginxLoadBalancer:
        """A plugin instance as a restarted controller makes it."""
        env = Env("test", self.state_dir, SystemClock(), SystemProcesses(), httpx.AsyncClient, self.said.append)
        return NginxLoadBalancer(self.options, env)

    async def upstream(self, answer: Answer) -> Upstream:
        self.upstreams.append(await Upstream(answer).start())
        return self.upstreams[-1]

    def plan(self, *routes: Route, **deployments: list[Upstream]) -> Plan:
        """By default one tenant on the deployment `chat`, which has all upstreams."""
        replicas = tuple(
            Replica(f"{name}-{n}", name, upstream.address, "ready")
            for name, upstreams in (deployments or {"chat": self.upstreams}).items()
            for n, upstream in enumerate(upstreams)
        )
        told = {"version": self.version, "shadow_socket": self.shadow_socket, "spares": self.spares}
        table = RouteTable(routes or (route(),), replicas, self.keys, **told)  # type: ignore[arg-type]
        return self.plugin.compile(table)

    async def apply(self, *routes: Route, **deployments: list[Upstream]) -> None:
        await self.plugin.apply(self.plan(*routes, **deployments))

    def client(self, key: str = KEY) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.plugin.url}/v1", api_key=key, max_retries=0, timeout=20)

    def http(self, key: str | None = KEY, **more: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(base_url=self.plugin.url, headers=headers, timeout=20, trust_env=False, **more)

    async def get(self, path: str = "/v1/models", key: str | None = KEY, **more: Any) -> httpx.Response:
        """On a connection of its own."""
        async with self.http(key) as http:
            return await http.get(path, **more)

    @asynccontextmanager
    async def stream(self, key: str = KEY) -> AsyncIterator[httpx.Response]:
        async with self.http(key) as http, http.stream("POST", "/v1/chat/completions", json={}) as answer:
            yield answer

    async def rows(self, count: int, after: str = "") -> list[Request]:
        """The next `count` ledger rows."""
        rows: list[Request] = []
        with anyio.fail_after(60):
            async for row in self.plugin.requests(after):
                rows.append(row)
                if len(rows) == count:
                    break
        return rows

    async def open(self) -> tuple[Open, ...]:
        return await self.control.open()

    def family(self) -> family.Family:
        return family.find(self.state_dir)

    def workers(self) -> frozenset[int]:
        """Those that take connections."""
        return family.accepting(self.family().pids)

    async def close(self) -> None:
        for upstream in self.upstreams:
            await upstream.stop()
        for member in self.family().members:
            family.tell(member, signal.SIGKILL)
            SystemProcesses().alive(member)  # reaps it
