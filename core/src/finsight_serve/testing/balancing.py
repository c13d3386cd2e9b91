"""The setting in which load balancers are checked: two replicas of the kit's engine, a client, a route table."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ..env import Env
from ..plugin import Feature, Limits, LoadBalancer, Replica, Request, Route, RouteTable
from .echo import echo_launch
from .plugin import ActuatorConformance
from .real_env import find_free_port, make_env
from .waiting import wait_for

TENANT, DEPLOYMENT = "acme", "echo"
CLIENT_KEY = "a-client-key"
UPSTREAM_KEY = "a-key-between-load-balancer-and-replica"
PATH = "/v1/chat/completions"


class LoadBalancerSetting(ActuatorConformance):
    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        raise NotImplementedError("override the fixture `options`: it must say where to listen, on a free port")

    @pytest.fixture
    def replica_host(self) -> str:
        """Where the kit's replicas listen: an address of this machine that the load balancer reaches."""
        return "127.0.0.1"

    @pytest.fixture
    async def replicas(
        self, replica_host: str, tmp_path: Path, deadline_s: float
    ) -> AsyncIterator[tuple[Replica, ...]]:
        """Two of the kit's own, on this machine."""
        env = make_env(tmp_path / "replicas")
        launch = echo_launch(UPSTREAM_KEY)
        replicas, processes = [], []
        for number in range(2):
            port = find_free_port()
            argv = [part.format(host=replica_host, port=port) for part in launch.argv]
            processes.append(env.processes.start(argv, env=launch.env, log=env.state_dir / f"{number}.log"))
            replicas.append(Replica(f"echo-{number}", DEPLOYMENT, f"{replica_host}:{port}", "ready"))
        try:
            async with env.http() as http:
                await wait_for(lambda: _all_answer(http, replicas), deadline_s, "the start of the kit's replicas")
            yield tuple(replicas)
        finally:
            with anyio.CancelScope(shield=True):
                for process in processes:
                    await env.processes.stop(process, grace_s=0)

    @pytest.fixture
    async def balancer(self, plugin: type[Any], options: Mapping[str, Any], env: Env) -> AsyncIterator[LoadBalancer]:
        """An instance; what runs when the check is over is taken down."""
        made: LoadBalancer = self.make(plugin, options, env)
        yield made
        await made.apply(made.compile(RouteTable()))


def table(
    *replicas: Replica,
    weights: Mapping[str, int] | None = None,
    limit: int | None = None,
    version: int = 0,
    shadow_socket: str = "",
    **limits: Any,
) -> RouteTable:
    """One tenant, all of whose requests go to one deployment unless `weights` says otherwise."""
    digest = hashlib.sha256(CLIENT_KEY.encode()).hexdigest()
    shares = {DEPLOYMENT: 100} if weights is None else weights
    route = Route(TENANT, (digest,), shares, Limits(limit, **limits), 100 if shadow_socket else 0)
    keys = dict.fromkeys({DEPLOYMENT, *(replica.deployment for replica in replicas)}, UPSTREAM_KEY)
    return RouteTable((route,), replicas, keys, version, shadow_socket=shadow_socket)


def client(balancer: LoadBalancer, key: str = CLIENT_KEY) -> httpx.AsyncClient:
    """Where the load balancer knows no keys it is asked as the edge before it asks: that one has turned the key into
    the tenant, and brings the replicas' own.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if Feature.KEYS in balancer.lacks:
        headers = {"Authorization": f"Bearer {UPSTREAM_KEY}", "X-Finsight-Tenant": TENANT}
    return httpx.AsyncClient(base_url=balancer.url, headers=headers, trust_env=False, timeout=10, verify=False)


async def ask(
    balancer: LoadBalancer, key: str = CLIENT_KEY, body: Mapping[str, Any] | None = None, session: str = ""
) -> httpx.Response:
    """On a connection of its own; `body` tells the kit's engine how to answer."""
    async with client(balancer, key) as http:
        return await http.post(PATH, json=dict(body or {}), headers={"X-Session-Id": session} if session else {})


async def answer_with(balancer: LoadBalancer, status: int) -> httpx.Response | None:
    """None for one of another status: to be waited for."""
    answer = await ask(balancer)
    return answer if answer.status_code == status else None


async def read_ledger(balancer: LoadBalancer, after: str, count: int, deadline_s: float = 10.0) -> list[Request]:
    """The next `count` lines after a cursor."""
    requests: list[Request] = []
    with anyio.move_on_after(deadline_s):
        async for request in balancer.requests(after):
            requests.append(request)
            if len(requests) == count:
                return requests
    raise AssertionError(f"{len(requests)} ledger lines within {deadline_s:g} s, expected {count}: {requests}")


async def _all_answer(http: httpx.AsyncClient, replicas: list[Replica]) -> bool:
    try:
        return all([(await http.get(f"http://{r.address}/health")).status_code == 200 for r in replicas])
    except httpx.TransportError:
        return False
