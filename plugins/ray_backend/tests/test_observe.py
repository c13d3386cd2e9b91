"""What observing remembers, over a scripted REST: replicas that serve must never drop out of sight."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from finsight_serve.testing import make_env
from finsight_serve_ray.options import Options
from finsight_serve_ray.ray_serve import RayServe
from finsight_serve_ray.rest import Unreachable

CONFIG = {"name": "chat-me", "import_path": "m:app", "args": {"owner": "me", "deployment": "chat"}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def says(
    state: str = "RUNNING", *, status: str = "RUNNING", config: object = CONFIG, listed: bool = True, port: int = 30000
) -> dict[str, Any]:
    target = {"ip": "10.0.0.7", "port": port, "name": "SERVE_REPLICA::chat-me#EngineReplica#a1"}
    deployment = {"status": "HEALTHY", "replicas": [{"replica_id": "a1", "state": state}]}
    app = {
        "status": status,
        "deployed_app_config": config,
        "deployments": {"EngineReplica": deployment} if listed else {},
    }
    targets = [target] if port and listed else []
    return {
        "controller_info": {"node_ip": "10.0.0.7"},
        "applications": {"chat-me": app},
        "target_groups": [{"app_name": "chat-me", "targets": targets}],
    }


BUILDING = says(status="DEPLOYING", listed=False)
DELETING = says(status="DELETING", listed=False, config=None)
LOST = {"controller_info": {}, "applications": {}}

Script = Callable[..., RayServe]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def plugin(*answers: dict[str, Any]) -> RayServe:
        left = list(answers)
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json=left.pop(0)))
        http = lambda: httpx.AsyncClient(transport=transport)  # noqa: E731
        return RayServe(Options(address="10.0.0.7"), replace(make_env(tmp_path, "me"), http=http))

    return plugin


@pytest.mark.parametrize(
    ("then", "state"),
    [
        (BUILDING, "ready"),
        (DELETING, "draining"),
        (says("RECOVERING", port=0), "ready"),
        (says("UPDATING", port=0), "ready"),
        (says("STOPPING", port=0), "draining"),
    ],
)
@pytest.mark.anyio
async def test_a_replica_that_serves_on_keeps_its_address(script: Script, then: dict[str, Any], state: str) -> None:
    plugin = script(says(), then, then)
    await plugin._look()
    for _ in range(2):
        (replica,) = (await plugin._look()).replicas
        assert (replica.address, replica.state) == ("10.0.0.7:30000", state)


@pytest.mark.anyio
async def test_a_replica_is_gone_once_its_application_is(script: Script) -> None:
    plugin = script(says(), DELETING, {**LOST, "controller_info": {"node_ip": "10.0.0.7"}})
    assert [len((await plugin._look()).replicas) for _ in range(3)] == [1, 1, 0]


@pytest.mark.parametrize("at_first", [BUILDING, says(port=0)])
@pytest.mark.anyio
async def test_what_can_not_be_known_yet_is_not_guessed(script: Script, at_first: dict[str, Any]) -> None:
    with pytest.raises(Unreachable):
        await script(at_first)._look()


@pytest.mark.anyio
async def test_a_first_build_has_no_replicas(script: Script) -> None:
    plugin = script(LOST, BUILDING)
    assert [(await plugin._look()).replicas for _ in range(2)] == [(), ()]


@pytest.mark.anyio
async def test_a_lost_controller_is_no_empty_cluster(script: Script) -> None:
    plugin = script(says(), LOST)
    await plugin._look()
    with pytest.raises(Unreachable):
        await plugin._look()
