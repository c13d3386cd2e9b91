"""One real local Ray cluster for all tests here, and the means to wait for what it does."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import DeploymentSpec, Launch, Observed, Replica
from finsight_serve.testing import make_env, snapshot_when

pytest.importorskip("ray", reason="ray is not installed")

from finsight_serve_ray import node
from finsight_serve_ray.options import Options
from finsight_serve_ray.ray_serve import RayServe
from finsight_serve_ray.record import ClusterRecord, Process, cluster_path, read

HERE = Path(__file__).parent
DEADLINE_S = 120.0  # for one step, on a machine that does other things as well


@dataclass
class Stack:
    """A state folder and a plugin over it, as a controller would hold them."""

    state_dir: Path
    options: Options = field(default_factory=lambda: Options(health_check_period_s=1, health_check_timeout_s=2))

    def plugin(self, owner: str = "owner-1") -> RayServe:
        return RayServe(self.options, make_env(self.state_dir, owner))

    @property
    def record(self) -> ClusterRecord:
        record = read(ClusterRecord, cluster_path(self.state_dir))
        assert record is not None
        return record

    def daemon(self, name: str) -> Process:
        return next(daemon for daemon in self.record.daemons if daemon.name == name)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="a-state-folder-with-a-path-much-longer-than-a-socket-may-have-") as folder:
        stack = Stack(Path(folder))
        try:
            yield stack
        finally:
            sessions = read(ClusterRecord, cluster_path(stack.state_dir))
            plugin = stack.plugin()
            anyio.run(plugin.apply, plugin.compile(()))
            assert sessions is None or not list(node.members(sessions.sessions))


def spec(
    name: str = "chat", *, factory: str = "build", label: str = "a", evict: str = "", **policy: float
) -> DeploymentSpec:
    launch = Launch(argv=(), asgi=f"toy_engine:{factory}", asgi_argv=(label,), env={"PYTHONPATH": str(HERE)})
    bounds = {"max_replicas": 2, "upscale_delay_s": 0.0, "downscale_delay_s": 0.0} | policy
    return DeploymentSpec(name, launch, AutoscalingPolicy(**bounds), frozenset({evict} - {""}))  # type: ignore[arg-type]


async def until(plugin: RayServe, holds: Callable[[Observed], bool]) -> Observed:
    return await snapshot_when(plugin, holds, DEADLINE_S)


def of(seen: Observed, name: str, state: str = "ready") -> tuple[Replica, ...]:
    return tuple(r for r in seen.replicas if r.deployment == name and r.state == state)


def ready(name: str, count: int) -> Callable[[Observed], bool]:
    return lambda seen: len(of(seen, name)) == count


@dataclass
class Load:
    """Requests over fixed replica ports, as a load balancer that learns nothing new would send them."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)

    async def run(self, addresses: tuple[str, ...]) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while True:
                for address in addresses:
                    try:
                        (await client.get(f"http://{address}/v1/models")).raise_for_status()
                        self.answered += 1
                    except httpx.HTTPError as error:
                        self.failures.append(repr(error))
                await anyio.sleep(0.02)  # the pace of the load
