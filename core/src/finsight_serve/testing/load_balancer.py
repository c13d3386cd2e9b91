"""What every load balancer must fulfil. An outsider subclasses it and overrides `plugin` and `options`."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import anyio
import httpx
import pytest

from ..env import Env
from ..plugin import REFUSED, Feature, LoadBalancer, Replica, RouteTable
from .balancing import DEPLOYMENT, PATH, TENANT, UPSTREAM_KEY, answer_with, ask, client, read_ledger, table
from .real_env import find_free_port
from .tenancy import TenancyConformance
from .waiting import snapshot_when, wait_for

NEIGHBOUR, NEIGHBOUR_KEY = "neighbour", "a-neighbours-key"


class LoadBalancerConformance(TenancyConformance):
    """Routes by key, spreads over replicas, and changes its mind without failing a request."""

    @pytest.fixture
    def wants(self, replica_host: str) -> tuple[RouteTable, ...]:
        replica = Replica("echo-0", DEPLOYMENT, f"{replica_host}:20001", "ready")
        other = Replica("echo-1", DEPLOYMENT, f"{replica_host}:20002", "ready")
        limited = table(replica, other, limit=1, requests_per_s=2.5, tokens_per_minute=60)
        split = table(replica, replace(other, deployment="other"), weights={DEPLOYMENT: 20, "other": 30, REFUSED: 50})
        shadowed = table(replica, version=7, shadow_socket="/run/shadow.sock")
        return RouteTable(), table(replica), limited, table(weights={}), split, shadowed

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        return (UPSTREAM_KEY,)

    @pytest.mark.anyio
    async def test_observe_yields_before_anything_runs(self, balancer: LoadBalancer, deadline_s: float) -> None:
        await snapshot_when(balancer, lambda _: True, deadline_s / 4)

    @pytest.mark.anyio
    async def test_key_leads_to_a_replica(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        await balancer.apply(balancer.compile(table(*replicas)))
        assert (await ask(balancer)).json().keys() == {"pid", "process", "version"}
        self.skip_if_lacking(plugin, Feature.KEYS)
        assert (await ask(balancer, key="")).status_code == 401
        assert (await ask(balancer, key="another")).status_code == 401
        assert (await ask(balancer, key=UPSTREAM_KEY)).status_code == 401

    @pytest.mark.anyio
    async def test_all_replicas_get_requests(self, balancer: LoadBalancer, replicas: tuple[Replica, ...]) -> None:
        await balancer.apply(balancer.compile(table(*replicas)))
        assert len({(await ask(balancer)).json()["pid"] for _ in range(30)}) == len(replicas)

    @pytest.mark.anyio
    async def test_another_deployment_answers_what_no_replica_takes(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        self.skip_if_lacking(plugin, Feature.SPARES)
        gone = Replica("gone", DEPLOYMENT, f"127.0.0.1:{find_free_port()}", "ready")
        spare = replace(replicas[0], deployment="other")
        await balancer.apply(balancer.compile(replace(table(gone, spare), spares={DEPLOYMENT: "other"})))
        assert (await ask(balancer)).status_code == 200
        if Feature.LEDGER not in plugin.lacks:
            [row] = await read_ledger(balancer, "", 1)
            assert (row.deployment, row.outcome) == ("other", "complete")

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
    async def test_shares_follow_the_weights(self, balancer: LoadBalancer, replicas: tuple[Replica, ...]) -> None:
        """In each direction, and at once: five standard deviations of 300 independent choices are 26 requests."""
        few, many = replicas[0], replace(replicas[1], deployment="other")
        await balancer.apply(balancer.compile(table(few, many, weights={few.deployment: 10, "other": 90})))
        rarer, count = await _rarer(balancer)
        assert abs(count - 30) <= 26
        await balancer.apply(balancer.compile(table(few, many, weights={few.deployment: 90, "other": 10})))
        assert rarer != (now_rarer := await _rarer(balancer))[0]
        assert abs(now_rarer[1] - 30) <= 26

    @pytest.mark.anyio
    async def test_a_stream_outlives_its_replicas_removal(
        self, balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        """A replica that leaves the table gets nothing new, and ends what it has begun."""
        leaving, staying = replicas[0], replace(replicas[1], deployment="other")
        await balancer.apply(balancer.compile(table(leaving, staying)))
        body = {"chunks": 15, "every_s": 0.1}
        async with client(balancer) as http, http.stream("POST", PATH, json=body) as stream:
            lines = stream.aiter_lines()
            first = await anext(lines)
            await balancer.apply(balancer.compile(table(staying, weights={"other": 100})))
            rest = [line async for line in lines if line]
        assert (first[:5], len(rest), rest[-1]) == ("data:", 16, "data: [DONE]")

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
        await wait_for(lambda: answer_with(balancer, 200), what="room after the stream has ended")

    @pytest.mark.anyio
    async def test_what_a_deployment_has_no_room_for_is_503_with_retry_after(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        """Whoever asks for all of it leaves room for one who asks for little."""
        self.skip_if_lacking(plugin, Feature.SHEDDING)
        bound = 6
        many = table(*replicas)
        few = replace(many.routes[0], tenant=NEIGHBOUR, key_sha256=(sha256(NEIGHBOUR_KEY.encode()).hexdigest(),))
        bounded = replace(many, routes=(*many.routes, few), max_ongoing_requests={DEPLOYMENT: bound})
        await balancer.apply(balancer.compile(bounded))
        async with AsyncExitStack() as held, client(balancer) as http, client(balancer, NEIGHBOUR_KEY) as neighbour:

            async def hold(by: httpx.AsyncClient) -> int:
                stream = by.stream("POST", PATH, json={"hold": True})
                return (await held.enter_async_context(stream)).status_code

            statuses = [await hold(http) for _ in range(2 * bound)]
            assert 1 <= statuses.count(200) < bound and set(statuses) == {200, 503}
            shed = await ask(balancer)
            assert (shed.status_code, "retry-after" in shed.headers) == (503, True)
            assert await hold(neighbour) == 200
        await wait_for(lambda: answer_with(balancer, 200), what="room after the streams have ended")

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


async def _refuses(balancer: LoadBalancer) -> bool:
    """A load balancer behind an edge may share its port with others' routes: there it knows the tenant no more."""
    try:
        answer = await ask(balancer)
    except httpx.ConnectError:
        return True
    return Feature.KEYS in balancer.lacks and answer.status_code == 404


async def _rarer(balancer: LoadBalancer, count: int = 300) -> tuple[int, int]:
    """Which of the two replicas got fewer of so many requests, and how many."""
    async with client(balancer) as http:
        pids = [(await http.post(PATH, json={})).json()["pid"] for _ in range(count)]
    assert len(set(pids)) == 2, "one of the two deployments got no request"
    fewest, rarer = min((pids.count(pid), pid) for pid in set(pids))
    return rarer, fewest


def _is_longer(seen: list[int], count: int) -> bool:
    return len(seen) > count
