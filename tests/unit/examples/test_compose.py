"""docker-compose.scaling.yml keeps its promises, and what it mounts is what `fs plan` renders."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from finsight_serve.cli.main import cli
from finsight_serve.host import Host
from finsight_serve.stack import load_stack

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "compose"
SEVERAL_NODES = ("RAY_gcs_rpc_server_reconnect_timeout_s", "RAY_raylet_start_wait_time_s")
DEFAULT = re.compile(r"\$\{[A-Z_]+:-((?:[^${}]|\$\{[^}]*\})*)\}")


def filled(text: str) -> str:
    """With the default of each variable, the inner ones first."""
    while (next_ := DEFAULT.sub(r"\1", text)) != text:
        text = next_
    return text


@pytest.fixture(scope="module")
def compose() -> Mapping[str, Any]:
    text = filled((ROOT / "docker-compose.scaling.yml").read_text())
    data: Mapping[str, Any] = YAML(typ="safe").load(text)
    return data


def test_every_service_is_confined_limited_and_comes_back(compose: Mapping[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].partition(":")[0] not in ("", "0", "root"), name
        assert not {"privileged", "cap_add", "pid", "network_mode"} & service.keys(), name
        assert service["restart"] == "unless-stopped", name
        assert {"cpus", "memory"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert re.search(r":[^:/]*\d[^:/]*$", service["image"]), f"{name}: {service['image']} has no version"
        assert "healthcheck" in service or service.get("profiles"), name


def test_one_port_is_published_and_on_loopback(compose: Mapping[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"nginx": ["127.0.0.1:8000:8000"], "grafana": ["127.0.0.1:3000:3000"]}
    assert compose["services"]["grafana"]["profiles"] == ["grafana"]
    assert compose["networks"]["inside"]["internal"] is True


def test_no_replica_runs_on_the_head_and_its_store_is_a_volume(compose: Mapping[str, Any]) -> None:
    head = compose["services"]["head"]
    assert "--num-cpus=0" in head["command"]
    assert "gcs:" + head["environment"]["RAY_gcs_storage_path"] in head["volumes"]
    assert compose["services"]["worker"]["deploy"]["replicas"] == 2


def test_engines_leave_processors_to_what_decides_and_to_what_carries(compose: Mapping[str, Any]) -> None:
    shares = {name: service["cpu_shares"] for name, service in compose["services"].items()}
    assert shares.pop("worker") < min(shares.values())


@pytest.mark.parametrize("name", ["head", "worker"])
def test_a_node_is_given_up_by_ray_and_by_docker_after_the_same_time(name: str, compose: Mapping[str, Any]) -> None:
    service = compose["services"][name]
    waits_s = service["environment"]["RAY_raylet_start_wait_time_s"]
    assert service["healthcheck"]["start_period"] == f"{waits_s}s"


def test_a_node_is_set_as_that_of_the_local_cluster(compose: Mapping[str, Any]) -> None:
    node = pytest.importorskip("finsight_serve_ray.node")
    wanted = node.environment(Path("/s"), 1)
    ours = {**compose["services"]["head"]["environment"], **compose["services"]["worker"]["environment"]}
    here = {"RAY_AUTH_TOKEN_PATH", "RAY_gcs_storage_path", "DASHBOARD_METRIC_PORT", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
    assert {name: ours.get(name) for name in wanted.keys() - here} == {
        name: wanted[name] for name in wanted.keys() - here
    }
    own = {"FS_ENGINE", "VLLM_CACHE_ROOT", *SEVERAL_NODES}
    assert compose["services"]["worker"]["environment"].keys() - own <= wanted.keys()


@pytest.mark.parametrize("engine", ["sim", "vllm"])
def test_the_stack_fits_the_services(engine: str, compose: Mapping[str, Any]) -> None:
    stack = load_stack(EXAMPLE / f"{engine}.yaml", Host())
    services, token = compose["services"], compose["services"]["head"]["environment"]["RAY_AUTH_TOKEN_PATH"]
    (backend,) = stack.backends.values()
    assert backend.options["address"] == "http://head:8265" and backend.options["auth_token_file"] == token
    assert stack.load_balancer.options["kept_at"] == "nginx" in services
    assert stack.metrics.listen.partition(":")[0] in services
    (deployment,) = stack.deployments
    assert deployment.engine.plugin == engine and deployment.policy.min_replicas == 2


@pytest.mark.parametrize("form", ["prometheus", "grafana"])
def test_what_is_mounted_is_what_is_rendered(form: str, tmp_path: Path) -> None:
    argv = ["plan", "-f", str(EXAMPLE / "vllm.yaml"), "-o", form, "--to", str(tmp_path / "new")]
    done = CliRunner().invoke(cli, [*argv, "--state", str(tmp_path / "state")])
    assert done.exit_code == 0, done.output
    rendered = {path.relative_to(tmp_path / "new"): path.read_text() for path in (tmp_path / "new").rglob("*.*")}
    shipped = {
        path.relative_to(ROOT / "monitoring" / form): path.read_text()
        for path in (ROOT / "monitoring" / form).rglob("*.*")
    }
    assert shipped == rendered, "make monitoring writes it anew"
