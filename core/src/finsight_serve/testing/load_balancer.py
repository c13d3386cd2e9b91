"""What every load balancer must fulfil. An outsider subclasses it and overrides `plugin` and `options`."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
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
from .waiting import snapshot_when, wait_for

TENANT, DEPLOYMENT = "acme", "echo"
CLIENT_KEY = "a-client-key"
UPSTREAM_KEY = "a-key-between-load-balancer-and-replica"
PATH = "/v1/chat/completions"


class LoadBalancerConformance(ActuatorConformance):
    """Routes by key, spreads over replicas, and changes its mind without failing a request."""

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        raise NotImplementedError("override the fixture `options`: it must say where to listen, on a free port")

    @pytest.fixture
    async def replicas(self, tmp_path: Path, deadline_s: float) -> AsyncIterator[tuple[Replica, ...]]:
        """Two of the kit's own, on this machine."""
        env = make_env(tmp_path / "replicas")
        launch = echo_launch(UPSTREAM_KEY)
        replicas, processes = [], []
        for number in range(2):
            port = find_free_port()
            argv = [part.format(host="127.0.0.1", port=port) for part in launch.argv]
            processes.append(env.processes.start(argv, env=launch.env, log=env.state_dir / f"{number}.log"))
            replicas.append(Replica(f"echo-{number}", DEPLOYMENT, f"127.0.0.1:{port}", "ready"))
        try:
            async with env.http() as http:
                await wait_for(lambda: _all_answer(http, replicas), deadline_s, "the start of the kit's replicas")
            yield tuple(replicas)
        finally:
            with anyio.CancelScope(shield=True):
                for process in processes:
                    await env.processes.stop(process, grace_s=0)

    @pytest.fixture
    def wants(self) -> tuple[RouteTable, ...]:
        replica = Replica("echo-0", DEPLOYMENT, "127.0.0.1:20001", "ready")
        other = Replica("echo-1", DEPLOYMENT, "127.0.0.1:20002", "ready")
        return RouteTable(), table(replica), table(replica, other, limit=1), table(weights={})

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        return (UPSTREAM_KEY,)

    @pytest.fixture
    async def balancer(self, plugin: type[Any], options: Mapping[str, Any], env: Env) -> AsyncIterator[LoadBalancer]:
        """An instance; what runs when the check is over is taken down."""
        made: LoadBalancer = self.make(plugin, options, env)
        yield made
        await made.apply(made.compile(RouteTable()))

    @pytest.mark.anyio
    async def test_observe_yields_before_anything_runs(self, balancer: LoadBalancer, deadline_s: float) -> None:
        await snapshot_when(balancer, lambda _: True, deadline_s / 4)

    @pytest.mark.anyio
    async def test_key_leads_to_a_replica(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        await balancer.apply(balancer.compile(table(*replicas)))
        assert (await ask(balancer)).json().keys() == {"pid", "version"}
        self.skip_if_lacking(plugin, Feature.KEYS)
        assert (await ask(balancer, key="")).status_code == 401
        assert (await ask(balancer, key="another")).status_code == 401
        assert (await ask(balancer, key=UPSTREAM_KEY)).status_code == 401

    @pytest.mark.anyio
    async def test_all_replicas_get_requests(self, balancer: LoadBalancer, replicas: tuple[Replica, ...]) -> None:
        await balancer.apply(balancer.compile(table(*replicas)))
        assert len({(await ask(balancer)).json()["pid"] for _ in range(30)}) == len(replicas)

    @pytest.mark.anyio
    async def test_removed_replica_gets_no_more(self, balancer: LoadBalancer, replicas: tuple[Replica, ...]) -> None:
        await balancer.apply(balancer.compile(table(*replicas)))
        await balancer.apply(balancer.compile(table(replicas[0])))
        assert len({(await ask(balancer)).json()["pid"] for _ in range(10)}) == 1

    @pytest.mark.anyio
    async def test_no_weight_is_503_with_retry_after(
        self, balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        await balancer.apply(balancer.compile(table(*replicas, weights={})))
        answer = await ask(balancer)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)

    @pytest.mark.anyio
    async def test_changes_fail_no_request(self, balancer: LoadBalancer, replicas: tuple[Replica, ...]) -> None:
        """A busy keep-alive client, while the table changes back and forth and is applied again unchanged."""
        tables = [table(*replicas), table(replicas[0]), table(replicas[0]), table(replicas[1])]
        await balancer.apply(balancer.compile(tables[0]))
        statuses: list[int] = []

        async def keep_asking() -> None:
            async with client(balancer) as http:
                while True:
                    statuses.append((await http.post(PATH, json={})).status_code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_asking)
            for changed in tables * 2:
                await balancer.apply(balancer.compile(changed))
                enough = len(statuses) + 5
                await wait_for(partial(_is_longer, statuses, enough), what="requests after a change")
            tasks.cancel_scope.cancel()
        assert set(statuses) == {200}

    @pytest.mark.anyio
    async def test_second_instance_adopts(
        self,
        plugin: type[Any],
        options: Mapping[str, Any],
        env: Env,
        balancer: LoadBalancer,
        replicas: tuple[Replica, ...],
    ) -> None:
        await balancer.apply(balancer.compile(table(*replicas)))
        heir: LoadBalancer = self.make(plugin, options, env)
        assert heir.url == balancer.url
        await heir.apply(heir.compile(table(replicas[0])))
        assert (await ask(heir)).status_code == 200
        await heir.apply(heir.compile(RouteTable()))
        await wait_for(lambda: _refuses(heir), what="the end of the endpoint")

    @pytest.mark.anyio
    async def test_cancelled_apply_can_be_called_again(
        self, balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        for after_s in (0.0, 0.05, 0.2):
            with anyio.move_on_after(after_s):
                await balancer.apply(balancer.compile(table(*replicas)))
        await balancer.apply(balancer.compile(table(*replicas)))
        assert (await ask(balancer)).status_code == 200

    @pytest.mark.anyio
    async def test_too_many_at_once_is_429(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        self.skip_if_lacking(plugin, Feature.LIMITS)
        await balancer.apply(balancer.compile(table(*replicas, limit=1)))
        async with client(balancer) as http, http.stream("POST", PATH, json={"hold": True}) as held:
            assert held.status_code == 200
            assert (await ask(balancer)).status_code == 429
        await wait_for(lambda: _is_status(balancer, 200), what="room after the stream has ended")

    @pytest.mark.anyio
    async def test_ledger_has_each_request(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        self.skip_if_lacking(plugin, Feature.LEDGER)
        await balancer.apply(balancer.compile(table(*replicas)))
        for _ in range(5):
            await ask(balancer)
        requests = await read_ledger(balancer, "", 5)
        assert {request.id for request in requests} == {request.id for request in requests[:5]}
        for request in requests:
            assert (request.tenant, request.deployment, request.status) == (TENANT, DEPLOYMENT, 200)
            assert request.replica in {replica.address for replica in replicas}
            assert request.outcome == "complete"
        rest = await read_ledger(balancer, requests[2].cursor, 2)
        assert [request.id for request in rest] == [request.id for request in requests[3:]]

    @pytest.mark.anyio
    async def test_open_streams_are_counted(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...], deadline_s: float
    ) -> None:
        self.skip_if_lacking(plugin, Feature.OPEN_STREAMS)
        await balancer.apply(balancer.compile(table(*replicas)))

        def count(number: int) -> Any:
            return lambda seen: seen.open_streams is not None and sum(seen.open_streams.values()) == number

        async with client(balancer) as http, http.stream("POST", PATH, json={"hold": True}):
            seen = await snapshot_when(balancer, count(1), deadline_s)
            assert seen.open_streams == {(TENANT, DEPLOYMENT): 1}
        await snapshot_when(balancer, count(0), deadline_s)

    @pytest.mark.anyio
    async def test_empty_want_closes_the_endpoint(
        self, balancer: LoadBalancer, replicas: tuple[Replica, ...], deadline_s: float
    ) -> None:
        await balancer.apply(balancer.compile(table(*replicas)))
        await balancer.apply(balancer.compile(RouteTable()))
        await wait_for(lambda: _refuses(balancer), deadline_s, "the end of the endpoint")


def table(*replicas: Replica, weights: Mapping[str, int] | None = None, limit: int | None = None) -> RouteTable:
    """One tenant, all of whose requests go to one deployment unless `weights` says otherwise."""
    digest = hashlib.sha256(CLIENT_KEY.encode()).hexdigest()
    route = Route(TENANT, (digest,), {DEPLOYMENT: 100} if weights is None else weights, Limits(limit))
    return RouteTable((route,), replicas, {DEPLOYMENT: UPSTREAM_KEY})


def client(balancer: LoadBalancer, key: str = CLIENT_KEY) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=balancer.url, headers=headers, trust_env=False, timeout=10, verify=False)


async def ask(balancer: LoadBalancer, key: str = CLIENT_KEY) -> httpx.Response:
    async with client(balancer, key) as http:
        return await http.post(PATH, json={})


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


async def _refuses(balancer: LoadBalancer) -> bool:
    try:
        await ask(balancer)
    except httpx.ConnectError:
        return True
    return False


def _is_longer(seen: list[int], count: int) -> bool:
    return len(seen) > count


async def _is_status(balancer: LoadBalancer, status: int) -> bool:
    return (await ask(balancer)).status_code == status
