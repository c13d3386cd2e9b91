"""A deployment as it is rendered: kind → object."""

import sys
from typing import Any

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import DeploymentSpec, Launch
from finsight_serve_k8s_keda.engine_archive import EngineArchives
from finsight_serve_k8s_keda.manifests import manifests
from finsight_serve_k8s_keda.options import Options

SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}


def launch(*argv: str, **values: Any) -> Launch:
    argv = argv or (sys.executable, "-m", "engine", "--host", "{host}", "--port", "{port}")
    return Launch(argv, "engine:build", **{"signals": SIGNALS, "image": "engine:1", **values})


def render(started: Launch | None = None, name: str = "chat", **options: Any) -> dict[str, Any]:
    spec = DeploymentSpec(name, started or launch(), AutoscalingPolicy())
    archive = EngineArchives().of(spec.launch)
    bodies = manifests(spec, (), archive, "owner-1", Options.model_validate(options))
    return {body["kind"]: body for body in bodies}


def pod(started: Launch | None = None, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = render(started, **options)["Deployment"]["spec"]["template"]["spec"]
    return found


def container(started: Launch | None = None, **options: Any) -> dict[str, Any]:
    (found,) = pod(started, **options)["containers"]
    return dict(found)


def env(started: Launch | None = None, **options: Any) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(started, **options)["env"]}


def mounts(started: Launch | None = None, **options: Any) -> dict[str, Any]:
    """Path → what is mounted there, as the pod's volume and the container's mount in one."""
    spec = pod(started, **options)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] | mount for mount in spec["containers"][0]["volumeMounts"]}
