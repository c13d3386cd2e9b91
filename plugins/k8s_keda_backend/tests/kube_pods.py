"""Pods as the API server describes them, in each state of a replica's life."""

from collections.abc import Mapping
from typing import Any

from finsight_serve_k8s_keda.kinds import Json
from finsight_serve_k8s_keda.names import deployment_labels

OWNER = "acme"


def pod(name: str = "chat-1", deployment: str = "chat", owner: str = OWNER, **status: Any) -> Json:
    """`status` as is; a field of the metadata by `created` and `ending`."""
    metadata = {
        "name": name,
        "uid": f"uid-{name}",
        "creationTimestamp": status.pop("created", "2026-01-01T00:00:00Z"),
        "labels": dict(deployment_labels(owner, deployment)),
        **({"deletionTimestamp": "2026-01-01T01:00:00Z"} if status.pop("ending", False) else {}),
    }
    return {"metadata": metadata, "status": {"phase": "Running", "podIP": "10.0.0.1", **status}}


def container(state: Json, last: Json | None = None, started: bool = False, restarts: int = 0) -> Json:
    return {
        "containerStatuses": [
            {"name": "sidecar", "state": {"running": {}}, "started": True},
            {
                "name": "engine",
                "state": state,
                "lastState": last or {},
                "started": started,
                "restartCount": restarts,
            },
        ]
    }


def ready(is_ready: bool = True) -> Json:
    conditions = [{"type": "Ready", "status": str(is_ready)}]
    return {"conditions": conditions, **container({"running": {}}, started=True)}


def loading() -> Json:
    return {"conditions": [{"type": "Ready", "status": "False"}], **container({"running": {}})}


def waiting(reason: str, message: str = "") -> Json:
    return {"phase": "Pending", "podIP": "", **container({"waiting": {"reason": reason, "message": message}})}


def unschedulable(message: str) -> Json:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "podIP": "", "conditions": [condition]}


def terminated(exit_code: int = 1, reason: str = "Error", id: str = "containerd://1", message: str = "") -> Json:
    found = {"exitCode": exit_code, "reason": reason, "containerID": id}
    return {"terminated": {**found, **({"message": message} if message else {})}}


def crashed(**ended: Any) -> Json:
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
    return container(back_off, terminated(**ended), restarts=2)


def event(pod: str, message: str, reason: str = "FailedMount", at: str = "2026-01-01T00:00:00Z") -> Json:
    about: Mapping[str, str] = {"kind": "Pod", "name": pod, "uid": f"uid-{pod}"}
    return {
        "metadata": {"name": f"{pod}.{reason}"},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": about,
        "lastTimestamp": at,
    }
