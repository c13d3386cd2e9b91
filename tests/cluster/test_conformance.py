"""The kit over k8s-keda: its engine runs in pods that mount this very environment."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, Launch, Orchestrator, Replica
from finsight_serve.testing import OrchestratorConformance
from finsight_serve.testing.compilation import want
from finsight_serve_k8s_keda.k8s_keda import K8sKeda
from finsight_serve_k8s_keda.kinds import POD
from finsight_serve_k8s_keda.kube_api import connect


class TestK8sKeda(OrchestratorConformance):
    @pytest.fixture
    def plugin(self) -> type[Any]:
        return K8sKeda

    @pytest.fixture
    def options(
        self, cluster: Any, namespace: str, host_image: str, host_mounts: list[dict[str, object]]
    ) -> Mapping[str, Any]:
        return {
            "kubeconfig": str(cluster.kubeconfig),
            "context": cluster.kubectl.context,
            "namespace": namespace,
            "prometheus": cluster.prometheus_url,
            "image": host_image,
            "image_pull_policy": "Never",
            "python": sys.executable,
            "volumes": host_mounts,
            "pre_stop_s": 0,
            "drain_timeout_s": 5,
        }

    @pytest.fixture
    def other_options(self, cluster: Any, options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """A deployment's name is its Service's: there is one of each in a namespace."""
        with cluster.namespace() as name:
            yield {**options, "namespace": name}

    @pytest.fixture
    def deadline_s(self) -> float:
        return 120.0

    async def kill(self, orchestrator: Orchestrator, replica: Replica) -> None:
        """A pod's processes are found by its uid, wherever the container runtime puts them."""
        assert isinstance(orchestrator, K8sKeda)
        uid = await uid_of(orchestrator, replica.id)
        found = list(processes_of(uid))
        if not found:
            pytest.skip("its pods run on another machine")
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    async def cut_signal(self, orchestrator: Orchestrator) -> None:
        """The kit's engine has no metrics, so there never was one."""

    @pytest.mark.anyio
    async def test_anothers_object_of_the_same_name_is_refused(
        self,
        plugin: type[Any],
        options: Mapping[str, Any],
        other_env: Env,
        orchestrator: Orchestrator,
        launch: Launch,
        deadline_s: float,
    ) -> None:
        mine = await self.bring_up(orchestrator, launch, 1, deadline_s)
        other: Orchestrator = self.make(plugin, options, other_env)
        with pytest.raises(ApplyError) as refused:
            await other.apply(other.compile(want(launch, 2)))
        (line,) = str(refused.value).splitlines()
        assert "another stack's" in line and "fs import" in line
        await other.apply(other.compile(()))
        assert await self.bring_up(orchestrator, launch, 1, deadline_s) == mine


async def uid_of(plugin: K8sKeda, pod: str) -> str:
    async with connect(plugin._options) as api:
        body = await api.get(POD, pod)
    assert body is not None
    return str(body["metadata"]["uid"])


def processes_of(uid: str) -> Iterator[int]:
    """Those of the engine: what holds the pod together goes on."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            cgroups = (folder / "cgroup").read_text().replace("_", "-")
            if uid in cgroups and b"finsight_serve" in (folder / "cmdline").read_bytes():
                yield int(folder.name)
