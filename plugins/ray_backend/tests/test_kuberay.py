"""The RayService that a plan is exported as."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from finsight_serve.capabilities import ControllerHost
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch
from finsight_serve.testing import make_env
from finsight_serve_ray.options import Options
from finsight_serve_ray.ray_serve import RayServe

LAUNCH = Launch(
    argv=("serve",),
    asgi="engine:build",
    asgi_argv=("--model", "m"),
    env={"HUB_TOKEN": "secret-token", "THREADS": "2"},
    plain_env=frozenset(["THREADS"]),
    files=("/models/m",),
    num_cpus=2,
    num_gpus=1,
)


def export(tmp_path: Path, *names: str, controller: ControllerHost | None = None) -> str:
    plugin = RayServe(Options(image="finsight:1"), replace(make_env(tmp_path), owner=""))
    policy = AutoscalingPolicy(min_replicas=2, max_replicas=5)
    plan = plugin.compile(tuple(DeploymentSpec(name, LAUNCH, policy) for name in names))
    (text,) = plugin.export(plan, "kuberay", controller).values()
    return text


def loaded(text: str) -> Any:
    return YAML(typ="safe").load(text)


def test_serve_takes_its_applications(tmp_path: Path) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    body = loaded(loaded(export(tmp_path, "chat", "code"))["spec"]["serveConfigV2"])
    accepted = schema.ServeDeploySchema.model_validate(body)
    assert [one.name for one in accepted.applications] == ["chat", "code"]


def test_a_worker_for_each_replica_and_none_on_the_head(tmp_path: Path) -> None:
    cluster = loaded(export(tmp_path, "chat"))["spec"]["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (group,) = cluster["workerGroupSpecs"]
    assert (group["minReplicas"], group["maxReplicas"]) == (2, 5)
    (worker,) = group["template"]["spec"]["containers"]
    assert worker["image"] == "finsight:1"
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_head_keeps_its_store_on_a_volume(tmp_path: Path) -> None:
    spec = loaded(export(tmp_path, "chat"))["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    (head,) = spec["containers"]
    env = {one["name"]: one["value"] for one in head["env"]}
    assert env["RAY_gcs_storage"] == "rocksdb"
    assert env["RAY_gcs_storage_path"] == head["volumeMounts"][0]["mountPath"]
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == "ray-chat-gcs"


def test_what_may_be_secret_is_named_and_not_written(tmp_path: Path) -> None:
    text = export(tmp_path, "chat")
    assert "secret-token" not in text
    assert "# HUB_TOKEN: not written into files. Put into a Secret ray-chat-engine, for the workers." in text
    assert "# The workers read /models/m: put it into their image, or mount it there." in text
    (application,) = loaded(loaded(text)["spec"]["serveConfigV2"])["applications"]
    assert application["runtime_env"]["env_vars"]["THREADS"] == "2"
    assert application["runtime_env"]["env_vars"]["RAY_SERVE_ENABLE_DIRECT_INGRESS"] == "1"


def test_the_controller_is_no_part_of_it(tmp_path: Path) -> None:
    with pytest.raises(ApplyError, match="leave out --in-cluster"):
        export(tmp_path, "chat", controller=ControllerHost("image", "name: x", "x", 8000))
