"""Makes the cluster what was planned: nothing is written before all of it was tried, and nothing that isn't ours.

Every step may be repeated: what an interrupted call left out, the next one does.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TypeVar

import anyio

from finsight_serve.plugin import ApplyError

from .kinds import ALL, DEPLOYMENT, HPA, POD, SCALED_OBJECT, Json, Kind, artefact_name, kind_of
from .kube_api import KubeApi
from .names import COMPONENT, MANAGED_BY, MANAGER, OWNER, owner_selector
from .ownership import owned
from .refusals import FORBIDDEN, NOT_FOUND, ApiRefusal

AT_ONCE = 16
ENDING_S = 30.0
"""How long an object of the same name may take to go: its finalizers do what they must."""

POLL_S = 0.25

Key = tuple[str, str]  # kind, name
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Difference:
    """`live`: what is there, None if nothing is."""

    live: Json | None
    body: Json

    @property
    def is_one(self) -> bool:
        return self.live is None or is_ending(self.live) or owned(self.live) != self.body


@dataclass(frozen=True)
class Outcome:
    """Names as "Kind/name"."""

    applied: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0


async def converge(
    api: KubeApi,
    bodies: Sequence[Json],
    kinds: Sequence[Kind],
    owner: str,
    component: str,
    before_write: Callable[[Sequence[Difference]], Awaitable[None]] | None = None,
    trials: int | None = None,
) -> Outcome:
    """Applies `bodies` in the order of `kinds` and removes, the other way round, the owner's that are not among them.

    `trials`: how many of each kind are tried first, where they are many and alike; None: all. `before_write` is called
    once they would be taken, and may still refuse. Raises `ApplyError`: nothing was written unless the cluster changed
    its mind between the trial and the write; the next call goes on from there.
    """
    wanted = {_key(body): body for kind in kinds for body in bodies if kind_of(body, ALL) == kind}
    live = await _live(api, wanted, kinds, owner, component)
    changes = [change for key, body in wanted.items() if (change := Difference(live.get(key), body)).is_one]
    await each(lambda change: _wait_gone(api, change.live), changes)
    for kind in kinds:
        alike = [change for change in changes if change.body["kind"] == kind.kind][:trials]
        for change, tried in zip(alike, await each(partial(_try, api), alike), strict=True):
            if change.live is not None and not is_ending(change.live) and owned(change.live) == owned(tried):
                changes.remove(change)  # it differs by defaults of the server's alone
    if before_write:
        await before_write(changes)
    surplus = [body for key, body in live.items() if key not in wanted and not is_ending(body)]
    for kind in kinds:
        await each(api.apply, _of([change.body for change in changes], kind))
    for kind in reversed(kinds):
        await each(partial(_remove, api, kind), _of(surplus, kind))
    return Outcome(
        tuple(artefact_name(change.body) for change in changes),
        tuple(artefact_name(body) for body in surplus),
        len(wanted) - len(changes),
    )


async def refuse_rivals(api: KubeApi, bodies: Iterable[Json]) -> None:
    """Raises `ApplyError` where another autoscaler is on one of the deployments: the two would fight."""
    targets = {body["metadata"]["name"] for body in bodies if body["kind"] == DEPLOYMENT.kind}
    if not targets:
        return
    for hpa in (await api.list(HPA))[0]:
        target = hpa["spec"]["scaleTargetRef"]
        if target["kind"] != DEPLOYMENT.kind or target["name"] not in targets:
            continue
        makers = [reference for reference in hpa["metadata"].get("ownerReferences") or ()]
        if any(maker["kind"] == "ScaledObject" and maker["name"] == target["name"] for maker in makers):
            continue
        name, where = hpa["metadata"]["name"], f"-n {api.namespace}"
        by = f", made by {makers[0]['kind']} {makers[0]['name']}" if makers else ""
        raise ApplyError(
            f"Deployment {target['name']} is scaled by the HorizontalPodAutoscaler {name}{by}, and two autoscalers "
            f"would fight: remove it (`kubectl delete hpa {name} {where}`), or name the deployment otherwise",
            lasting=not is_ending(hpa),
        )


async def evict(api: KubeApi, pod: str) -> None:
    """Lets the pod end with its grace. Not by the Eviction API: no budget may keep a sick replica."""
    body = await api.get(POD, pod)
    if body is not None and not is_ending(body):
        await api.delete(POD, pod, uid=body["metadata"]["uid"])


def is_asked_anew(difference: Difference) -> bool:
    """Whether a ScaledObject comes to ask something else: a floor must rise also while Prometheus is away."""
    body, live = difference.body, difference.live
    if body["kind"] != SCALED_OBJECT.kind:
        return False
    return live is None or owned(live).get("spec", {}).get("triggers") != body["spec"]["triggers"]


def holder(body: Json, owner: str, component: str) -> str:
    """Whose a live object is, for people; "" where it is the component's of this owner."""
    labels = body["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) == MANAGER and labels.get(OWNER):
        if labels[OWNER] != owner:
            return f"another stack's ({OWNER}={labels[OWNER]})"
        found = labels.get(COMPONENT, "")
        return "" if found == component else f"this stack's own, for its {found or 'exports'}"
    managers = sorted({str(entry.get("manager")) for entry in body["metadata"].get("managedFields") or ()})
    return f"someone else's (written by {', '.join(managers)})" if managers else "someone else's"


async def _live(
    api: KubeApi, wanted: Mapping[Key, Json], kinds: Sequence[Kind], owner: str, component: str
) -> dict[Key, Json]:
    """Every object of the owner's component, and each that is wanted and there. Raises `ApplyError` for others'."""
    needed = {kind_of(body, ALL) for body in wanted.values()}
    selector = owner_selector(owner, component)
    listed = await each(lambda kind: _listed(api, kind, selector, kind in needed), kinds)
    live = {_key(body): body for found in listed for body in found}
    unknown = [body for key, body in wanted.items() if key not in live]
    for body in await _found(api, unknown):
        if whose := holder(body, owner, component):
            raise ApplyError(
                f"{body['kind']} {body['metadata']['name']} in namespace {api.namespace} is {whose}: `fs import` takes "
                "over what was set up from an export; otherwise use another name or namespace",
                lasting=not is_ending(body),
            )
        live[_key(body)] = body
    return live


async def _found(api: KubeApi, bodies: Sequence[Json]) -> list[Json]:
    """What of the same kind and name is there."""
    found: list[Json] = []
    for kind, alike in groupby(bodies, lambda body: kind_of(body, ALL)):
        names = [body["metadata"]["name"] for body in alike]
        if len(names) > AT_ONCE:
            found += [body for body in (await api.list(kind))[0] if body["metadata"]["name"] in set(names)]
        else:
            found += filter(None, await each(partial(api.get, kind), names))
    return found


async def _listed(api: KubeApi, kind: Kind, selector: str, is_needed: bool) -> list[Json]:
    try:
        return (await api.list(kind, selector))[0]
    except ApiRefusal as refusal:
        # an API that isn't installed holds nothing of ours; whether it is, the API server tells only who may list it
        if kind.install and not is_needed and refusal.code in (NOT_FOUND, FORBIDDEN):
            return []
        raise


async def _try(api: KubeApi, difference: Difference) -> Json:
    return await api.apply(difference.body, dry_run=True)


async def _wait_gone(api: KubeApi, body: Json | None) -> None:
    """An object that is being deleted takes no more changes that last."""
    if body is None or not is_ending(body):
        return
    kind, name, uid = kind_of(body, ALL), body["metadata"]["name"], body["metadata"]["uid"]
    with anyio.move_on_after(ENDING_S):
        while (found := await api.get(kind, name)) is not None and found["metadata"]["uid"] == uid:
            await anyio.sleep(POLL_S)
        return
    waits = ", ".join(body["metadata"].get("finalizers") or ("no finalizer",))
    raise ApplyError(
        f"{body['kind']} {name} in namespace {api.namespace} is still being deleted and waits for {waits}: see that "
        "the controller behind that runs, then apply again"
    )


async def _remove(api: KubeApi, kind: Kind, body: Json) -> None:
    await api.delete(kind, body["metadata"]["name"], uid=body["metadata"]["uid"])


async def each(act: Callable[[In], Awaitable[Out]], items: Iterable[In]) -> list[Out]:
    """Several at once, the answers in order. Raises the first `ApplyError` in that order, and begins none after one."""
    answers: dict[int, Out] = {}
    refused: dict[int, ApplyError] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(index: int, item: In) -> None:
        async with limiter:
            if refused:
                return
            try:
                answers[index] = await act(item)
            except ApplyError as error:
                refused[index] = error

    async with anyio.create_task_group() as tasks:
        for index, item in enumerate(items):
            tasks.start_soon(one, index, item)
    if refused:
        raise refused[min(refused)]
    return [answers[index] for index in sorted(answers)]


def is_ending(body: Json) -> bool:
    return "deletionTimestamp" in body["metadata"]


def _key(body: Json) -> Key:
    return body["kind"], body["metadata"]["name"]


def _of(bodies: Iterable[Json], kind: Kind) -> list[Json]:
    return [body for body in bodies if body["kind"] == kind.kind]
