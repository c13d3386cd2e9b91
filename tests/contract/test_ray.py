"""The kit over Ray. One local cluster serves all checks but those that end it; starting one takes some 15 s."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from finsight_serve.env import Env
from finsight_serve.plugin import Launch, Orchestrator, Plan
from finsight_serve.testing import OrchestratorConformance, make_env

pytest.importorskip("ray", reason="Ray is not installed")

from finsight_serve_ray.ray_serve import RayServe

OPTIONS = {"drain_timeout_s": 10}


class KeepsItsCluster(RayServe):
    """An empty want ends the replicas as ever, but not the cluster."""

    async def apply(self, plan: Plan) -> None:
        if plan.artefacts or self.cluster is None:
            await super().apply(plan)
        elif self.cluster.has_node():
            await self._drain()


class TestRay(OrchestratorConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return KeepsItsCluster

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return OPTIONS

    @pytest.fixture(scope="class")
    @classmethod
    def env(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Env]:
        env = make_env(tmp_path_factory.mktemp("ray"))
        yield env
        anyio.run(stop_cluster, env)

    @pytest.fixture
    def other_env(self, tmp_path: Path) -> Iterator[Env]:
        """A second stack on the same machine: a cluster of its own."""
        env = make_env(tmp_path / "other")
        yield env
        anyio.run(stop_cluster, env)

    @pytest.fixture
    def deadline_s(self) -> float:
        return 120.0

    @pytest.mark.anyio
    @pytest.mark.parametrize("plugin", [RayServe])
    async def test_empty_want_removes_all(self, orchestrator: Orchestrator, launch: Launch, deadline_s: float) -> None:
        """With the plugin as it is: the cluster goes too."""
        await super().test_empty_want_removes_all(orchestrator, launch, deadline_s)


async def stop_cluster(env: Env) -> None:
    plugin = RayServe(RayServe.Options.model_validate(OPTIONS), env)
    await plugin.apply(plugin.compile(()))
