"""What the options refuse, and what check() and apply() say before anything starts."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch
from finsight_serve.testing import make_env
from finsight_serve_ray import node, ports
from finsight_serve_ray.instance import Instance
from finsight_serve_ray.options import Options
from finsight_serve_ray.ray_serve import RayServe
from finsight_serve_ray.record import NodeRecord
from finsight_serve_ray.rest import Rest, RestError, Unreachable


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports.choose(None, ())))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"adress": "x"}, "Extra inputs"),
        ({"address": "ftp://head"}, "http://host:port"),
        ({"address": "http://head/serve"}, "http://host:port"),
        ({"address": "http://me:secret@head"}, "http://host:port"),
        ({"dashboard_port": 10500}, "outside 10002-19999"),
        ({"gcs_port": 30000}, "30000-31000"),
        ({"auth_token_file": "token"}, "only for a cluster given by `address`"),
        ({"num_cpus": 0}, "greater than 0"),
        ({"replica_host": "0.0.0.0"}, "one address of this machine"),
        ({"replica_host": "this-host"}, "IPv4"),
        ({"replica_host": "10.0.0.1", "address": "head:8265"}, "only for a local cluster"),
        ({"drain_timeout_s": -1}, "greater than or equal"),
    ],
)
def test_bad_options_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Options.model_validate(given)


@pytest.mark.parametrize("given", ["head:8265", "http://head:8265", "head", "http://head/"])
def test_an_address_becomes_a_url(given: str) -> None:
    assert Options(address=given).address == "http://head:8265"


def test_a_port_in_use_is_a_problem_and_stops_apply_before_anything_starts(tmp_path: Path, busy_port: int) -> None:
    plugin = RayServe(Options(dashboard_port=busy_port), make_env(tmp_path))
    (problem,) = plugin.check()
    assert problem.field == "dashboard_port"
    assert problem.message.startswith(f"port {busy_port} in use by ") and f"(pid {os.getpid()})" in problem.message


@pytest.mark.anyio
async def test_apply_on_a_port_in_use_says_so(tmp_path: Path, busy_port: int) -> None:
    plugin = RayServe(Options(gcs_port=busy_port), make_env(tmp_path))
    spec = DeploymentSpec("chat", Launch(argv=(), asgi="m:f"), AutoscalingPolicy())
    with pytest.raises(ApplyError, match=rf"gcs_port {busy_port} is in use by \S+ \(pid {os.getpid()}\)"):
        await plugin.apply(plugin.compile((spec,)))
    assert not plugin.cluster or not plugin.cluster.supervised()


def test_replicas_listen_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    env, current = make_env(tmp_path), Instance()
    plain, beyond = (RayServe(options, env) for options in (Options(), Options(replica_host="127.0.0.2")))
    assert plain._envelope(current, [])["http_options"]["host"] == "127.0.0.1"
    assert beyond._envelope(current, [])["http_options"]["host"] == "127.0.0.2"
    spec = DeploymentSpec("chat", Launch(argv=(), asgi="m:f"), AutoscalingPolicy())
    bodies = [plugin.compile((spec,)).artefacts[0].body for plugin in (plain, beyond)]
    assert [body.get("replica_host") for body in bodies] == [None, "127.0.0.2"], "a plan shows what differs"


def test_an_address_of_another_machine_is_a_problem(tmp_path: Path) -> None:
    (problem,) = RayServe(Options(replica_host="192.0.2.1"), make_env(tmp_path)).check()
    assert (problem.field, problem.message) == ("replica_host", "192.0.2.1 is no address of this machine")


def test_an_unreachable_address_and_a_missing_token_are_problems(tmp_path: Path) -> None:
    free = ports.choose(None, ())
    options = Options(address=f"127.0.0.1:{free}", auth_token_file=tmp_path / "none")
    plugin = RayServe(options, make_env(tmp_path))
    assert [problem.field for problem in plugin.check()] == ["address", "auth_token_file"]
    assert not plugin.on_this_machine


@pytest.mark.parametrize(
    ("status", "text", "error", "message"),
    [
        (401, "", RestError, "refuses the token"),
        (503, "The GCS may be down", Unreachable, "The GCS may be down"),
        (400, "route prefixes must be unique", RestError, "Serve refuses it .*unique"),
        (200, "<html>", RestError, "check the address"),
    ],
)
@pytest.mark.anyio
async def test_what_the_cluster_answers_becomes_a_sentence(
    status: int, text: str, error: type[Exception], message: str
) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=text))
    rest = Rest("http://head:8265", None, lambda: httpx.AsyncClient(transport=transport))
    with pytest.raises(error, match=message):
        await rest.get()


def test_ports_are_clear_of_rays_and_a_kept_one_is_kept(busy_port: int) -> None:
    chosen = ports.choose(None, ())
    assert 20000 < chosen < 30000 and ports.choose(chosen, ()) == chosen
    assert ports.choose(busy_port, ()) != busy_port and ports.choose(chosen, (chosen,)) != chosen


def test_the_node_is_started_with_its_own_ports_and_never_with_the_token(tmp_path: Path) -> None:
    numbers = {"gcs_port": 1, "dashboard_port": 2, "agent_port": 3, "client_port": 4, "proxy_port": 5}
    spec = NodeRecord(num_cpus=8, num_gpus=2, asked={}, temp_dir=Path("/t"), **numbers)
    command = node.start_command(spec)
    assert {"--port=1", "--dashboard-port=2", "--num-cpus=8", "--num-gpus=2", "--temp-dir=/t"} <= set(command)
    assert not [arg for arg in node.start_command(spec.model_copy(update={"num_gpus": None})) if "gpus" in arg]
    env = node.environment(tmp_path, 25000)
    assert (env["RAY_AUTH_TOKEN_PATH"], env["DASHBOARD_METRIC_PORT"]) == (str(tmp_path / "auth_token"), "25000")


def test_nothing_but_ray_api_imports_ray() -> None:
    modules = "orchestrator, supervisor, cluster, node, application, instance, rest, options, record, ports"
    code = f"import sys; from finsight_serve_ray import {modules}; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
