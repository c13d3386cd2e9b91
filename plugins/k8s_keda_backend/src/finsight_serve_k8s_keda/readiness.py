"""What a cluster lacks for a plugin, found by reading alone."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import anyio

from finsight_serve.plugin import Problem

from .convergence import each
from .kinds import ACCESS_REVIEW, APPLIED, EVENT, HPA, NAMESPACE, POD, POD_MONITOR, SCALED_OBJECT, Kind
from .kube_api import KubeApi, connect
from .options import Access, Options
from .refusals import FORBIDDEN, ApiRefusal, missing_kind, missing_namespace

CHANGED = ("get", "list", "watch", "create", "patch", "delete")


@dataclass(frozen=True)
class Right:
    verb: str
    kind: Kind
    subresource: str = ""

    @property
    def resource(self) -> str:
        return self.kind.resource + (f"/{self.subresource}" if self.subresource else "")


def rights(options: Options) -> tuple[Right, ...]:
    """What the orchestrator must be allowed."""
    made = [kind for kind in APPLIED if kind != POD_MONITOR or options.pod_monitor]
    return (
        *(Right(verb, kind) for kind in made for verb in CHANGED),
        *(Right(verb, POD) for verb in ("get", "list", "watch", "delete")),
        Right("get", POD, "log"),
        *(Right(verb, HPA) for verb in ("list", "watch")),
        Right("watch", EVENT),
    )


def kinds(options: Options) -> tuple[Kind, ...]:
    """What must be installed for the orchestrator."""
    return (SCALED_OBJECT, POD_MONITOR) if options.pod_monitor else (SCALED_OBJECT,)


def closed_metrics(options: Options) -> Iterator[Problem]:
    """Where Prometheus can't read what the replicas say of their load: right only where their count is fixed."""
    if not options.network_policy and not options.metrics_key_secret:
        yield Problem(
            "replicas answer 401 to a Prometheus that reads GET /metrics, since neither `network_policy` nor "
            "`metrics_key_secret` guards it: KEDA gets no signal, and the count does not follow the load",
            "set `network_policy: true`, or `metrics_key_secret: NAME` of a Secret whose entry `key` Prometheus sends "
            "as its bearer key",
            "metrics_key_secret",
            is_warning=True,
        )


def problems(access: Access, kinds: Sequence[Kind], rights: Sequence[Right]) -> Sequence[Problem]:
    """`kinds` that must be installed. May be called from a running event loop, and holds it up meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, _problems, access, kinds, rights).result()


async def _problems(access: Access, kinds: Sequence[Kind], rights: Sequence[Right]) -> Sequence[Problem]:
    try:
        async with connect(access) as api:
            if not await _has_namespace(api):
                return [Problem(*missing_namespace(api.namespace))]
            served = await each(api.serves, kinds)
            absent = [kind for kind, is_served in zip(kinds, served, strict=True) if not is_served]
            allowed = await each(lambda right: _is_allowed(api, right), rights)
            denied = [right for right, is_allowed in zip(rights, allowed, strict=True) if not is_allowed]
            return [*(Problem(*missing_kind(kind)) for kind in absent), *_denied(denied, api.namespace)]
    except ApiRefusal as refusal:
        return [Problem(refusal.what, refusal.fix or "`kubectl auth whoami` asks it the same way", refusal.field)]


async def _has_namespace(api: KubeApi) -> bool:
    try:
        return await api.get(NAMESPACE, api.namespace) is not None
    except ApiRefusal as refusal:
        if refusal.code == FORBIDDEN:
            return True  # a namespace's own users may seldom read it, so applying is what tells
        raise


async def _is_allowed(api: KubeApi, right: Right) -> bool:
    asked = {
        "verb": right.verb,
        "group": right.kind.group,
        "resource": right.kind.plural,
        "subresource": right.subresource,
        "namespace": api.namespace,
    }
    body = {
        "apiVersion": ACCESS_REVIEW.api_version,
        "kind": ACCESS_REVIEW.kind,
        "spec": {"resourceAttributes": asked},
    }
    return bool((await api.create(ACCESS_REVIEW, body))["status"]["allowed"])


def _denied(rights: Sequence[Right], namespace: str) -> Iterator[Problem]:
    if not rights:
        return
    lacking: dict[str, list[str]] = {}
    for right in rights:
        lacking.setdefault(right.resource, []).append(right.verb)
    told = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in lacking.items())
    first = rights[0]
    yield Problem(
        f"these credentials may not, in namespace {namespace}: {told}",
        "bind a Role with these rights to their user (`kubectl auth can-i "
        f"{first.verb} {first.resource} -n {namespace}` says whether one is there)",
        "kubeconfig",
    )
