"""The public conformance kit over a cluster that runs already, reached by its address and token."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from finsight_serve.testing import OrchestratorConformance
from finsight_serve_ray.ray_serve import RayServe

from .conftest import DEADLINE_S, Stack


async def start_serve(host: RayServe) -> None:
    """As the cluster's owner would: on loopback, where one that attaches to a bare cluster takes all addresses."""
    assert host.cluster is not None
    await host.cluster.ensure(host._rest)
    running = await host._rest().get()
    if not running.controller_info:
        await host._rest().put(host._envelope(running, []))


@pytest.mark.long  # over the local cluster the same kit is in tests/contract
class TestAttached(OrchestratorConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return RayServe

    @pytest.fixture
    def options(self, stack: Stack) -> Mapping[str, Any]:
        host = stack.plugin()
        assert host.cluster is not None
        anyio.run(start_serve, host)
        quick = {"health_check_period_s": 1, "health_check_timeout_s": 2}
        return {"address": host.cluster.url, "auth_token_file": str(host.cluster.token_file), **quick}

    @pytest.fixture
    def deadline_s(self) -> float:
        return DEADLINE_S

    test_killed_replica_is_replaced = None  # for remote backends the kit can only skip it; test_local_cluster kills one
