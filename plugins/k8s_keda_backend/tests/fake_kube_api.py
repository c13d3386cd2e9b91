"""An API server's memory for unit tests: who labelled what, what is refused and in which order it was asked."""

import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count
from typing import Any

from finsight_serve_k8s_keda.kinds import Json, Kind
from finsight_serve_k8s_keda.kube_api import Change
from finsight_serve_k8s_keda.refusals import NOT_FOUND, ApiRefusal


class FakeKubeApi:
    namespace = "models"

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.calls: list[tuple[str, str]] = []
        """("dry-run" | "apply" | "delete", "Kind/name"), in order."""
        self.refused: dict[tuple[str, str], ApiRefusal] = {}
        """Call → what it raises."""
        self.absent: set[Kind] = set()
        self.at_once = self.most_at_once = 0
        self._uids = count(1)

    def put(self, body: Json, **metadata: Any) -> Json:
        """As someone else made it."""
        body = copy.deepcopy(body)
        body["metadata"] |= {"uid": f"u{next(self._uids)}", **metadata}
        self.objects[body["kind"], body["metadata"]["name"]] = body
        return body

    async def get(self, kind: Kind, name: str) -> Json | None:
        return self.objects.get((kind.kind, name))

    async def list(self, kind: Kind, selector: str = "") -> tuple[list[Json], str]:
        if kind in self.absent:
            raise ApiRefusal(f"no {kind.kind}", NOT_FOUND)
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        found = [body for body in self.objects.values() if body["kind"] == kind.kind]
        return [body for body in found if wanted.items() <= body["metadata"].get("labels", {}).items()], "1"

    async def watch(self, kind: Kind, selector: str, resource_version: str) -> AsyncIterator[Change]:
        return
        yield

    async def apply(self, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        await self._called("dry-run" if dry_run else "apply", body["kind"], body["metadata"]["name"])
        key = (body["kind"], body["metadata"]["name"])
        made = copy.deepcopy(body)
        entry = {"manager": "finsight-serve", "operation": "Apply", "fieldsV1": _fields(body)}
        uid = self.objects[key]["metadata"]["uid"] if key in self.objects else f"u{next(self._uids)}"
        made["metadata"] |= {"uid": uid, "managedFields": [entry]}
        if not dry_run:
            self.objects[key] = made
        return made

    async def create(self, kind: Kind, body: Json, name: str = "", subresource: str = "") -> Json:
        raise NotImplementedError

    async def patch(self, kind: Kind, name: str, operations: Sequence[Json]) -> Json:
        raise NotImplementedError

    async def delete(self, kind: Kind, name: str, *, uid: str = "") -> None:
        await self._called("delete", kind.kind, name)
        found = self.objects.get((kind.kind, name))
        if found is not None and uid in ("", found["metadata"]["uid"]):
            del self.objects[kind.kind, name]

    async def serves(self, kind: Kind) -> bool:
        return kind not in self.absent

    async def text(self, path: str, query: Mapping[str, str]) -> str:
        raise NotImplementedError

    async def _called(self, call: str, kind: str, name: str) -> None:
        import anyio.lowlevel

        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await anyio.lowlevel.checkpoint()
            self.calls.append((call, f"{kind}/{name}"))
            if refusal := self.refused.get((call, f"{kind}/{name}")):
                raise refusal
        finally:
            self.at_once -= 1


def _fields(body: Json) -> Json:
    """Every part as a whole, save the labels, which others add to."""
    metadata = {"f:labels": {f"f:{label}": {} for label in body["metadata"].get("labels", {})}}
    rest = {f"f:{name}": {} for name in body if name not in ("apiVersion", "kind", "metadata")}
    return {"f:metadata": metadata, **rest}
