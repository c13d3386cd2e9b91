"""What a stack has in a cluster, as the core sees it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finsight_serve.plugin import Artefact, Observed, Replica

from .kinds import (
    APPLIED,
    DEPLOYMENT,
    EVENT,
    HPA,
    POD,
    SCALED_OBJECT,
    SECRET,
    SERVICE,
    Json,
    Kind,
    artefact_name,
    is_secret,
)
from .names import MANAGED_BY, MANAGER, REPLICAS, owner_selector
from .notes import Autoscaler, Rollout, Scaling, note, read_autoscaler, read_rollout, read_scaling
from .ownership import owned
from .reasons import Warning, has_failed, newest_warnings, read_warning, reason
from .replica_pod import ReplicaPod, read_pod
from .watching import Watched


@dataclass(frozen=True, slots=True)
class Applied:
    """An object of the owner's: what was applied of it, and what it says of itself."""

    artefact: Artefact
    says: Any = None


@dataclass(frozen=True)
class Seen:
    """What is remembered of a namespace; each by name."""

    applied: Mapping[Kind, Mapping[str, Applied]]
    pods: Mapping[str, ReplicaPod]
    autoscalers: Mapping[str, Autoscaler]
    warnings: Mapping[str, Warning]


def watched(owner: str) -> tuple[Watched, ...]:
    """Pods are known by their deployment, not by the owner's label: one that is taken over keeps its pods."""
    own = owner_selector(owner, REPLICAS)
    return (
        *(Watched(kind, own, _reader(kind), optional=kind == SECRET or bool(kind.install)) for kind in APPLIED),
        Watched(POD, f"{MANAGED_BY}={MANAGER}", read_pod),
        Watched(HPA, "", read_autoscaler),
        Watched(EVENT, "", read_warning, optional=True, listed=False),
    )


def _reader(kind: Kind) -> Any:
    says = {DEPLOYMENT: read_rollout, SCALED_OBJECT: read_scaling}.get(kind)

    def keep(body: Json) -> Applied | None:
        if "deletionTimestamp" in body["metadata"]:
            return None
        # an item of a list need not say what it is
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        ours = owned(whole)
        return Applied(Artefact(artefact_name(ours), ours, is_secret(ours)), says(body) if says else None)

    return keep


def own_pods(seen: Seen, owner: str) -> tuple[ReplicaPod, ...]:
    """Also those that still drain when their deployment is gone; not those whose place another pod has taken."""
    deployments = seen.applied[DEPLOYMENT]
    found = [pod for pod in seen.pods.values() if pod.deployment in deployments or (owner and pod.owner == owner)]
    replaced = set(_replaced(found))
    return tuple(sorted((pod for pod in found if pod.name not in replaced), key=lambda pod: pod.name))


def _replaced(pods: Iterable[ReplicaPod]) -> Iterator[str]:
    """A pod that its node has given up stays as a record. Of those, the newest is told until another one serves."""
    newest: dict[str, ReplicaPod] = {}
    served: dict[str, str] = {}
    for pod in sorted(pods, key=lambda pod: pod.created):
        if pod.phase == "Failed":
            if pod.deployment in newest:
                yield newest[pod.deployment].name
            newest[pod.deployment] = pod
        elif pod.is_ready:
            served[pod.deployment] = pod.created
    for name, pod in newest.items():
        if served.get(name, "") > pod.created:
            yield pod.name


def observed(
    seen: Seen,
    pods: Iterable[ReplicaPod],
    last_words: Mapping[str, str],
    evictions: tuple[Artefact, ...],
    cluster: str,
    namespace: str,
    port: int,
) -> Observed:
    """`pods`: `own_pods`. `last_words`: by pod, of those that have left any; a pod has failed once they are known.

    `evictions` that were asked for stay in force for as long as they are wanted. `cluster`: its id, "" if unknown.
    """
    warnings = newest_warnings(seen.warnings.values())
    in_force = [seen.applied[kind][name].artefact for kind in APPLIED for name in sorted(seen.applied[kind])]
    prefix = f"k8s://{cluster}/{namespace}"
    return Observed(
        tuple(_replica(pod, warnings.get(pod.uid), last_words.get(pod.name), port) for pod in pods),
        (*in_force, *evictions),
        {name: f"{prefix}/{name}:{port}" for name in sorted(seen.applied[SERVICE])} if cluster else {},
        {name: _note(seen, name) for name in sorted(seen.applied[DEPLOYMENT])},
    )


def _replica(pod: ReplicaPod, warning: Warning | None, last_words: str | None, port: int) -> Replica:
    address = f"{pod.ip}:{port}" if pod.ip and pod.is_running else ""
    if pod.is_ending:
        return Replica(pod.name, pod.deployment, address, "draining")
    if pod.is_ready:
        return Replica(pod.name, pod.deployment, address, "ready")
    failed = has_failed(pod) and last_words is not None
    return Replica(
        pod.name,
        pod.deployment,
        address,
        "failed" if failed else "starting",
        reason(pod, warning, last_words or ""),
    )


def _note(seen: Seen, name: str) -> str:
    scaling: Applied | None = seen.applied[SCALED_OBJECT].get(name)
    rollout: Rollout = seen.applied[DEPLOYMENT][name].says
    autoscalers = [one for one in seen.autoscalers.values() if one.target == name]
    says: Scaling | None = scaling.says if scaling else None
    return note(says, autoscalers, rollout)
