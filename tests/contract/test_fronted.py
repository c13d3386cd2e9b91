"""nginx before a load balancer that has no keys, as one: both real."""

from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from pydantic import Field

from finsight_serve.controller.edge import Fronted, lacks_together
from finsight_serve.controller.leaving import LeavingBalancer
from finsight_serve.env import Env
from finsight_serve.plugin import LoadBalancer, Replica
from finsight_serve.testing import LoadBalancerConformance, find_free_port, wait_for
from finsight_serve.testing.balancing import DEPLOYMENT, PATH, TENANT, ask, client, read_ledger, table
from finsight_serve_nginx.options import Options
from finsight_serve_nginx.plugin import NginxLoadBalancer

from ..plain_nginx import PlainNginx


class BothOptions(Options):
    behind: str = Field("127.0.0.1:8001", description="host:port of the one behind")


class NginxBeforeAnother(Fronted):
    """As a class of one options model, which is what the kit builds."""

    name = "nginx-before-another"
    Options = BothOptions
    lacks = lacks_together(NginxLoadBalancer.lacks, PlainNginx.lacks)

    def __init__(self, options: BothOptions, env: Env) -> None:
        edge, inner = (replace(env, state_dir=env.state_dir / name) for name in ("edge", "inner"))
        behind = PlainNginx(PlainNginx.Options(listen=options.behind), inner)
        super().__init__(NginxLoadBalancer(options, edge), behind)
        self.name = type(self).name


class TestFronted(LoadBalancerConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return NginxBeforeAnother

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        listen, behind = (f"127.0.0.1:{find_free_port()}" for _ in range(2))
        return {"listen": listen, "behind": behind, "drain_timeout_s": 2}

    @pytest.mark.anyio
    async def test_ledger_has_each_request(
        self, plugin: type[Any], balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        """Which replica it was, only the one behind knows: the ledger has that one's address."""
        await balancer.apply(balancer.compile(table(*replicas)))
        for _ in range(5):
            await ask(balancer)
        rows = await read_ledger(balancer, "", 5)
        assert {(row.tenant, row.deployment, row.status, row.outcome) for row in rows} == {
            (TENANT, DEPLOYMENT, 200, "complete")
        }
        assert {f"http://{row.replica}" for row in rows} == {balancer.inner.url}  # type: ignore[attr-defined]

    @pytest.mark.anyio
    async def test_of_a_split_tenant_the_ledger_says_where_each_request_went(
        self, balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        one, other = replicas[0], replace(replicas[1], deployment="other")
        await balancer.apply(balancer.compile(table(one, other, weights={DEPLOYMENT: 50, "other": 50})))
        answers = [await ask(balancer) for _ in range(20)]
        pid_of = {answer.headers["x-request-id"]: answer.json()["pid"] for answer in answers}
        places = {(row.deployment, pid_of[row.id]) for row in await read_ledger(balancer, "", 20)}
        assert sorted(name for name, _ in places) == [DEPLOYMENT, "other"]
        assert len({pid for _, pid in places}) == 2

    @pytest.mark.anyio
    async def test_the_one_behind_leaves_once_nobody_is_sent_there(
        self, balancer: LoadBalancer, replicas: tuple[Replica, ...]
    ) -> None:
        """The edge goes on alone. Whoever had a connection to it when it was told so may still be sent to both."""
        wanted = table(*replicas)
        await balancer.apply(balancer.compile(wanted))
        edge, inner = balancer.edge, balancer.inner  # type: ignore[attr-defined]
        leaving = LeavingBalancer(inner, inner._env.clock)
        statuses: list[int] = []

        async def keep_asking(pause_s: float) -> None:
            async with client(balancer) as http:
                while True:
                    statuses.append((await http.post(PATH, json={})).status_code)
                    await anyio.sleep(pause_s)  # on a connection that lies idle meanwhile

        async with anyio.create_task_group() as tasks:
            for pause_s in (0.05, 0.5, 2, 4, 8):
                tasks.start_soon(keep_asking, pause_s)
            await wait_for(lambda: len(statuses) > 10)
            await edge.apply(edge.compile(wanted))
            await leaving.apply(leaving.compile(()))
            seen = len(statuses)
            await wait_for(lambda: len(statuses) > seen + 10)
            tasks.cancel_scope.cancel()
        assert set(statuses) == {200}
        async with client(inner) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get("/")
