import pytest
from pydantic import ValidationError

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch
from finsight_serve_local.manifest import dump_artefacts, load_artefacts, read_plan, write_plan
from finsight_serve_local.options import LocalOptions


def spec(name: str, replicas: int = 1, token: str = "secret") -> DeploymentSpec:
    launch = Launch(("engine", "{port}"), "m:f", env={"HUB_TOKEN": token})
    return DeploymentSpec(name, launch, AutoscalingPolicy(min_replicas=replicas, max_replicas=max(1, replicas)))


def test_plan_reads_back() -> None:
    plan = write_plan((spec("chat", 2),), {"chat": 8100})
    (wanted,) = read_plan(plan)
    assert (wanted.deployment, wanted.replicas, wanted.argv) == ("chat", 2, ("engine", "{port}"))
    assert wanted.env == {"HUB_TOKEN": "secret"} and list(wanted.ports or ()) == [8100, 8101]
    assert load_artefacts(dump_artefacts(plan.artefacts)) == plan.artefacts


def test_digest_follows_what_runs_not_how_many() -> None:
    def digest(spec: DeploymentSpec) -> str:
        return read_plan(write_plan((spec,), {}))[0].digest

    assert digest(spec("chat", 1)) == digest(spec("chat", 2)) != digest(spec("chat", token="other"))


def test_two_deployments_on_one_port_are_named() -> None:
    with pytest.raises(ValidationError, match="'chat' and 'code' are both on port 8100"):
        LocalOptions(ports={"chat": 8100, "code": 8100})


def test_overlapping_ranges_are_named() -> None:
    with pytest.raises(ApplyError, match=r"'chat' \(ports 8100-8102\) and 'code' \(ports 8102-8102\) overlap"):
        write_plan((spec("code"), spec("chat", 3)), {"chat": 8100, "code": 8102})
    write_plan((spec("code"), spec("chat", 2)), {"chat": 8100, "code": 8102})


def test_ports_end_where_they_end() -> None:
    with pytest.raises(ApplyError, match="'chat' would need port 65536"):
        write_plan((spec("chat", 2),), {"chat": 65535})
