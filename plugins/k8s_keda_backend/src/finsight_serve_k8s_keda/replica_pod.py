"""What is remembered of a replica's pod. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import names
from .kinds import Json

ENGINE = "engine"
"""The name of the container that is the replica; beside it a cluster may put others."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the container's process ended last."""

    id: str  # of the container: another one for each start
    exit_code: int
    reason: str  # "Error", "Completed", "OOMKilled", "StartError"
    message: str  # why it could not be started at all
    is_last: bool  # nothing was started in its place yet


@dataclass(frozen=True, slots=True)
class ReplicaPod:
    name: str
    uid: str
    created: str  # RFC 3339
    deployment: str
    owner: str
    ip: str
    phase: str
    is_ending: bool
    is_ready: bool
    is_running: bool  # its container is, whether or not it serves
    is_started: bool  # it has answered the startup probe
    restarts: int
    waiting: str  # why the container isn't running: "ImagePullBackOff"
    message: str  # what Kubernetes says about that, or about a pod that has no node
    ended: Ended | None


def read_pod(body: Json) -> ReplicaPod:
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    container = _engine(status.get("containerStatuses") or ())
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    scheduled = conditions.get("PodScheduled", {})
    unscheduled = scheduled.get("reason", "") if scheduled.get("status") == "False" else ""
    about_node = scheduled.get("message", "") if unscheduled else ""
    return ReplicaPod(
        name=metadata["name"],
        uid=metadata["uid"],
        created=metadata["creationTimestamp"],
        deployment=labels.get(names.DEPLOYMENT, ""),
        owner=labels.get(names.OWNER, ""),
        ip=status.get("podIP", ""),
        phase=status.get("phase", "Pending"),
        is_ending="deletionTimestamp" in metadata,
        is_ready=_is_true(conditions, "Ready") or _is_out_of_touch(body, conditions, container),
        is_running="running" in state,
        is_started=bool(container.get("started")),
        restarts=container.get("restartCount", 0),
        waiting=status.get("reason") or waiting.get("reason") or unscheduled,
        message=status.get("message") or waiting.get("message") or about_node,
        ended=_ended(container),
    )


def _is_true(conditions: Mapping[str, Any], name: str) -> bool:
    return bool(conditions.get(name, {}).get("status") == "True")


def _is_out_of_touch(body: Json, conditions: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Its node was silent for so long that the cluster calls the pod unready, which its kubelet never said.

    It may well answer, and a probe of ours finds out; where it does not, it is evicted.
    """
    gates = [gate["conditionType"] for gate in body.get("spec", {}).get("readinessGates") or ()]
    said = all(_is_true(conditions, name) for name in ("ContainersReady", *gates))
    return said and bool(container.get("ready")) and "running" in (container.get("state") or {})


def _engine(containers: Any) -> Mapping[str, Any]:
    return next((one for one in containers if one["name"] == ENGINE), next(iter(containers), {}))


def _ended(container: Mapping[str, Any]) -> Ended | None:
    now = (container.get("state") or {}).get("terminated")
    found = now or (container.get("lastState") or {}).get("terminated")
    if not found:
        return None
    return Ended(
        found.get("containerID", ""),
        found.get("exitCode", 0),
        found.get("reason", ""),
        found.get("message", ""),
        bool(now),
    )
