"""What a plan compiles to as a RayService, for KubeRay to run: a cluster and its Serve applications in one file. Pure.

From KubeRay 1.5.1 on, which knows `authOptions`: it makes the token, and sends it.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from finsight_serve.plugin import Launch

from .application import DIRECT_INGRESS_ENV, ENVIRONMENT, PREFIX_ENV
from .node import MIN_DRAINING_PERIOD_S

Json = dict[str, Any]

FORM = "kuberay"
FORMS: Mapping[str, str] = {FORM: "a RayService for `kubectl apply -f -`"}
RAY_VERSION = "2.60.0"
STORE_DIR = "/var/lib/finsight/gcs"
USER = 10001
OURS = frozenset([PREFIX_ENV, "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", *DIRECT_INGRESS_ENV])
"""What the application itself needs in its environment, and no secret."""
SECURITY: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD: Json = {
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
NODE_ENV: Mapping[str, str] = {
    **DIRECT_INGRESS_ENV,
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": f"{MIN_DRAINING_PERIOD_S:g}",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",  # how long a worker outlives the head; Ray's own is 60
}
STORE_ENV: Mapping[str, str] = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": STORE_DIR}
"""As on one machine: a head that comes back knows its actors, so replicas serve on meanwhile."""


def render(applications: Sequence[Json], launches: Mapping[str, Launch], image: str) -> str:
    """`launches`: by deployment. What they don't call plain in an environment is not written."""
    names = [body["args"]["deployment"] for body in applications]
    name = f"ray-{names[0]}" if len(names) == 1 else "ray-finsight"
    secret = f"{name}-engine"
    shown = [_shown(body, OURS | launches[name].plain_env) for name, body in zip(names, applications, strict=True)]
    hidden = {key for before, after in zip(applications, shown, strict=True) for key in _env(before) - _env(after)}
    files = sorted({file for name in names for file in launches[name].files})
    head = [f"Apply beside it a PersistentVolumeClaim {name}-gcs, ReadWriteOnce, 1Gi: the head's store."]
    if files:
        head.append(f"The workers read {', '.join(files)}: put it into their image, or mount it there.")
    if hidden:
        head.append(
            f"{', '.join(sorted(hidden))}: not written into files. Put into a Secret {secret}, for the workers."
        )
    return "".join(f"# {line}\n" for line in head) + _yaml(_service(name, shown, image, secret if hidden else ""))


def _service(name: str, applications: Sequence[Json], image: str, secret: str) -> Json:
    serve = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "0.0.0.0"},
        "applications": list(applications),
    }
    groups = [_workers(body, image, secret) for body in applications]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": name},
        "spec": {
            "serveConfigV2": LiteralScalarString(_yaml(serve)),
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "headGroupSpec": _head(name, image),
                "workerGroupSpecs": groups,
            },
        },
    }


def _head(name: str, image: str) -> Json:
    """`num-cpus: "0"`: no replica runs there. KubeRay's autoscaler does, which speaks with the API server."""
    ports = {"gcs-server": 6379, "dashboard": 8265, "metrics": 8080}
    head = _container("ray-head", image, {"cpu": "1", "memory": "2Gi"}, {**NODE_ENV, **STORE_ENV})
    head["ports"] = [{"name": port, "containerPort": number} for port, number in ports.items()]
    head["volumeMounts"] = [{"name": "gcs", "mountPath": STORE_DIR}]
    claim = {"name": "gcs", "persistentVolumeClaim": {"claimName": f"{name}-gcs"}}
    return {
        "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
        "template": {"spec": {**copy.deepcopy(POD), "containers": [head], "volumes": [claim]}},
    }


def _workers(body: Json, image: str, secret: str) -> Json:
    """A group for each deployment: a pod for each replica, as many as its policy allows."""
    (deployment,) = body["deployments"]
    scaling, actor = deployment["autoscaling_config"], deployment["ray_actor_options"]
    cpus, gpus = f"{actor['num_cpus']:g}", f"{actor['num_gpus']:g}"
    resources = {"cpu": cpus, "memory": "6Gi", **({} if gpus == "0" else {"nvidia.com/gpu": gpus})}
    worker = _container("ray-worker", image, resources, NODE_ENV)
    # longer than a replica's streams may take, so that a drained pod cuts none
    grace_s = int(deployment["graceful_shutdown_timeout_s"]) + 30
    if secret:
        worker["envFrom"] = [{"secretRef": {"name": secret}}]
    return {
        "groupName": body["args"]["deployment"],
        "replicas": scaling["min_replicas"],
        "minReplicas": scaling["min_replicas"],
        "maxReplicas": scaling["max_replicas"],
        "rayStartParams": {},
        "template": {
            "spec": {
                **copy.deepcopy(POD),
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": grace_s,
                "containers": [worker],
            },
        },
    }


def _container(name: str, image: str, resources: Json, env: Mapping[str, str]) -> Json:
    return {
        "name": name,
        "image": image,
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "securityContext": copy.deepcopy(SECURITY),
    }


def _shown(body: Json, names: Collection[str]) -> Json:
    env = body[ENVIRONMENT]["env_vars"]
    return {**body, ENVIRONMENT: {"env_vars": {key: value for key, value in env.items() if key in names}}}


def _env(body: Json) -> set[str]:
    return set(body[ENVIRONMENT]["env_vars"])


def _yaml(data: Json) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.representer.ignore_aliases = lambda _: True
    text = StringIO()
    yaml.dump(data, text)
    return text.getvalue()
