"""The controller and its load balancer as a pod: all that it takes to run `fs serve` inside the cluster. Pure.

One replica and never two: its state is a volume that one node mounts, the old pod is gone before the new one is made,
and `fs serve` holds a lock on the volume. The load balancer is the controller's child, so it lives in the same pod.
"""

from collections.abc import Mapping
from hashlib import sha256

from finsight_serve.capabilities import ControllerHost
from finsight_serve.plugin import ApplyError

from ..kinds import INGRESS, POD_MONITOR, SERVICE, SERVICE_ACCOUNT, Json, Kind
from ..names import CONTROLLER, DEPLOYMENT, controller_selector
from ..options import Options
from ..pod_monitor import controller_monitor
from .role import role_objects

CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
CONFIG = Kind("v1", "ConfigMap", "configmaps")
WORKLOAD = Kind("apps/v1", "Deployment", "deployments")

CONFIG_DIR, STATE_DIR, TMP_DIR = "/etc/finsight", "/var/lib/finsight", "/tmp"
STORAGE = "1Gi"
HTTP, METRICS = "http", "metrics"
DRAIN_S = 30
"""How long open streams may go on when the pod must go: requests no longer reach it then."""
RESOURCES = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def controller_objects(controller: ControllerHost, options: Options) -> list[Json]:
    """Raises `ApplyError` for a file that means the machine on which it was written."""
    name = f"{controller.stack}-{CONTROLLER}"
    _check(options)

    def made(kind: Kind, content: Mapping[str, object]) -> Json:
        meta = {"name": name, "namespace": options.namespace, "labels": labels(controller.stack)}
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **content}

    return [
        made(SERVICE_ACCOUNT, {"automountServiceAccountToken": False}),
        *role_objects(name, labels(controller.stack), controller.stack_file, options),
        made(CONFIG, {"data": {"fs.yaml": controller.stack_file}}),
        made(
            CLAIM,
            {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": STORAGE}}}},
        ),
        made(WORKLOAD, {"spec": _workload(name, controller, options)}),
        made(SERVICE, {"spec": _service(controller)}),
        made(INGRESS, {"spec": _ingress(name, controller)}),
        *(
            [
                made(
                    POD_MONITOR,
                    {"spec": controller_monitor(controller.stack, labels(controller.stack), METRICS, options)},
                )
            ]
            if options.pod_monitor and controller.metrics_port
            else []
        ),
    ]


def _service(controller: ControllerHost) -> Json:
    ports = [{"name": HTTP, "port": 80, "targetPort": HTTP}]
    if controller.metrics_port:
        ports.append({"name": METRICS, "port": controller.metrics_port, "targetPort": METRICS})
    return {"selector": labels(controller.stack), "ports": ports}


def labels(stack: str) -> dict[str, str]:
    """Nothing of what marks the objects that a controller makes: none may take itself away."""
    return {DEPLOYMENT: f"{stack}-{CONTROLLER}", **controller_selector()}


def _check(options: Options) -> None:
    for field in ("kubeconfig", "context"):
        if getattr(options, field) is not None:
            raise ApplyError(
                f"{field} is set, but in the cluster the controller uses its own service account: leave it out of the "
                f"file, and give it on the command line where it is needed"
            )


def _workload(name: str, controller: ControllerHost, options: Options) -> Json:
    own = labels(controller.stack)
    digest = sha256(controller.stack_file.encode()).hexdigest()
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": own},
        "template": {
            # a changed file is taken up by a new pod
            "metadata": {"labels": own, "annotations": {"finsight-serve/stack-sha256": digest}},
            "spec": _pod(name, controller, options),
        },
    }


def _pod(name: str, controller: ControllerHost, options: Options) -> Json:
    secrets = [{"name": secret} for secret in options.image_pull_secrets]
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 2 * DRAIN_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": options.run_as_user,
            "runAsGroup": options.run_as_user,
            "fsGroup": options.run_as_user,
            "fsGroupChangePolicy": "OnRootMismatch",  # else each start would open keys' files to the group
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"imagePullSecrets": secrets} if secrets else {}),
        "containers": [_container(controller, options)],
        "volumes": [
            {"name": "stack", "configMap": {"name": name}},
            {"name": "state", "persistentVolumeClaim": {"claimName": name}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(controller: ControllerHost, options: Options) -> Json:
    ports = [{"name": HTTP, "containerPort": controller.port}]
    if controller.metrics_port:
        ports.append({"name": METRICS, "containerPort": controller.metrics_port})
    return {
        "name": CONTROLLER,
        "image": controller.image,
        "imagePullPolicy": options.image_pull_policy,
        # without a greeting no key gets into the pod's log: `fs tenant rotate NAME` in the pod shows one
        "command": ["fs", "serve", "--no-greeting"],
        "workingDir": CONFIG_DIR,
        "env": [
            {"name": "FS_STATE_DIR", "value": f"{STATE_DIR}/state"},
            {"name": "HOME", "value": STATE_DIR},
        ],
        "ports": ports,
        # There is no liveness probe: the controller starts its load balancer anew by itself, and a restart of the
        # container would end the streams of one that works.
        "readinessProbe": {"tcpSocket": {"port": HTTP}, "periodSeconds": 5},
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_S}}},
        "resources": RESOURCES,
        "securityContext": SECURITY,
        "volumeMounts": [
            {"name": "stack", "mountPath": CONFIG_DIR, "readOnly": True},
            {"name": "state", "mountPath": STATE_DIR},
            {"name": "tmp", "mountPath": TMP_DIR},
        ],
    }


def _ingress(name: str, controller: ControllerHost) -> Json:
    backend = {"service": {"name": name, "port": {"name": HTTP}}}
    paths = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    if not controller.host:
        return {"rules": [paths]}
    return {
        "rules": [{**paths, "host": controller.host}],
        "tls": [{"hosts": [controller.host], "secretName": f"{controller.stack}-tls"}],
    }
