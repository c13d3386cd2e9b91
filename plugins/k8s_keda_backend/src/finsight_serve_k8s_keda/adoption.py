"""Taking over what was set up from an export by other means: their objects get the owner's labels, and the fields that
the plan sets become this field manager's alone. No value is changed.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from .convergence import each, holder, is_ending
from .kinds import ALL, Json, artefact_name, kind_of
from .kube_api import KubeApi
from .names import REPLICAS, component_labels
from .ownership import FIELD_MANAGER, Fields, applied_fields, owned, without
from .refusals import INVALID, ApiRefusal

ATTEMPTS = 8


async def adoptable(api: KubeApi, bodies: Sequence[Json], owner: str) -> Mapping[str, str]:
    """Name as "Kind/name" → whose it is, for each that is there and not the owner's. Raises `ApplyError`."""
    live = await each(partial(_find, api), bodies)
    held = ((body, holder(body, owner, REPLICAS)) for body in live if body is not None and not is_ending(body))
    return {artefact_name(body): whose for body, whose in held if whose}


async def adopt(api: KubeApi, bodies: Sequence[Json], owner: str) -> None:
    """Nothing where it is the owner's already. Raises `ApplyError`; the next call goes on from there."""
    foreign = await adoptable(api, bodies, owner)
    mine = [body for body in bodies if artefact_name(body) in foreign]
    for_all = await each(lambda body: api.apply(body, force=True, dry_run=True), mine)
    await each(partial(_adopt, api, owner), [(body["metadata"]["name"], body) for body in for_all])


async def _adopt(api: KubeApi, owner: str, tried: tuple[str, Json]) -> None:
    """`tried`: the object as applying the plan would make it, which tells the fields that the plan sets."""
    name, body = tried
    kind, fields = kind_of(body, ALL), applied_fields(body)
    for attempt in range(1, ATTEMPTS + 1):
        live = await api.get(kind, name)
        if live is None:
            return
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": managed_fields(live, fields)},
        ]
        try:
            ours = owned(await api.patch(kind, name, operations))
        except ApiRefusal as refusal:
            # its controller wrote a status meanwhile
            if refusal.code != INVALID or attempt == ATTEMPTS:
                raise
            continue
        # apart from the patch, which would count as an update and not as applied
        labels = {**ours["metadata"].get("labels", {}), **component_labels(owner, REPLICAS)}
        await api.apply({**ours, "metadata": {**ours["metadata"], "labels": labels}})
        return


def managed_fields(live: Json, fields: Fields) -> list[Json]:
    """What the live object's `managedFields` become once `fields` are this field manager's alone."""
    entries = [_entry(entry, fields) for entry in live["metadata"].get("managedFields") or ()]
    ours = {
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [*(entry for entry in entries if entry["fieldsV1"]), ours]


def _entry(entry: Json, fields: Fields) -> Json:
    if entry.get("subresource"):
        return entry
    is_ours = entry.get("manager") == FIELD_MANAGER
    return {**entry, "fieldsV1": {} if is_ours else without(entry.get("fieldsV1") or {}, fields)}


async def _find(api: KubeApi, body: Json) -> Json | None:
    return await api.get(kind_of(body, ALL), body["metadata"]["name"])
