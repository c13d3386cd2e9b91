"""Route tables put in force by a real Gateway, and replicas of which it is known what reached them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from finsight_serve.plugin import Replica, Route, RouteTable
from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.gateway.gateway import GatewayLoadBalancer

NAME = os.environ.get("FS_TEST_GATEWAY_NAME", "projectcontour/gateway")
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def gateway_options(cluster: Any, namespace: str, /, **more: Any) -> dict[str, Any]:
    return {
        "kubeconfig": str(cluster.kubeconfig),
        "context": cluster.context,
        "namespace": namespace,
        "gateway": NAME,
        "address": cluster.gateway_address,
        **more,
    }


def balancer(options: Mapping[str, Any], folder: Path, owner: str = "tests") -> GatewayLoadBalancer:
    return GatewayLoadBalancer(
        GatewayLoadBalancer.Options.model_validate_json(json.dumps(options)), make_env(folder, owner)
    )


@dataclass
class Upstream:
    """A replica of one socket. A request whose path ends with /N is answered by a stream of N events, 0.1 s apart."""

    deployment: str
    address: str = ""
    heads: list[str] = field(default_factory=list)

    @property
    def replica(self) -> Replica:
        return Replica(f"{self.deployment}-{self.address}", self.deployment, self.address, "ready")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                last = head.split()[1].rpartition("/")[2]
                if last.isdigit():
                    await _stream(writer, int(last))
                else:
                    writer.write(PLAIN)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def _stream(writer: asyncio.StreamWriter, count: int) -> None:
    writer.write(STREAM)
    for event in [*(f"data: {number}\n\n".encode() for number in range(count)), b"data: [DONE]\n\n"]:
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
    writer.write(b"0\r\n\r\n")


@asynccontextmanager
async def upstreams(host: str, *deployments: str) -> AsyncIterator[list[Upstream]]:
    made = [Upstream(deployment) for deployment in deployments]
    async with AsyncExitStack() as stack:
        for one in made:
            server = await stack.enter_async_context(await asyncio.start_server(one.serve, host, 0))
            one.address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
        yield made


def table(weights: Mapping[str, Mapping[str, int]], *ready: Upstream, **more: Any) -> RouteTable:
    """`weights` by tenant."""
    routes = tuple(Route(tenant, (), shares) for tenant, shares in weights.items())
    return RouteTable(routes, tuple(one.replica for one in ready), **more)


def asking(url: str, tenant: str) -> httpx.AsyncClient:
    """As the edge asks."""
    return httpx.AsyncClient(base_url=url, headers={"x-finsight-tenant": tenant}, timeout=30, trust_env=False)
