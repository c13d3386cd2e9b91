"""What of an object people set where a chart is installed. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..kinds import Json
from ..names import COMPONENT, CONTROLLER, DEPLOYMENT

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Setting:
    value: tuple[str, ...]  # its path in values.yaml
    place: Place  # in the object; all but its last part is there
    default: Any
    may_be_left_out: bool  # where it is empty

    def put(self, body: Json, value: object) -> None:
        _at(body, self.place[:-1])[self.place[-1]] = value


POD: Mapping[str, Any] = {"imagePullSecrets": [], "nodeSelector": {}, "tolerations": [], "priorityClassName": ""}
"""Fields of a pod, and what they are where it has none of them."""
CONTAINER: Mapping[str, Any] = {"resources": {}}


def settings(body: Json) -> Iterator[Setting]:
    kind = body["kind"]
    if kind == "Deployment":
        yield from _workload(body)
    elif kind == "PersistentVolumeClaim":
        yield _needed(body, (CONTROLLER, "storage"), ("spec", "resources", "requests", "storage"))
        yield _optional(body, (CONTROLLER, "storageClassName"), ("spec", "storageClassName"), "")
    elif kind == "Ingress":
        yield _optional(body, ("ingress", "className"), ("spec", "ingressClassName"), "")
        yield _optional(body, ("ingress", "host"), ("spec", "rules", 0, "host"), "")
        yield _optional(body, ("ingress", "tls"), ("spec", "tls"), [])
        yield _optional(body, ("ingress", "annotations"), ("metadata", "annotations"), {})


def _workload(body: Json) -> Iterator[Setting]:
    labels = body["metadata"].get("labels", {})
    whose = (CONTROLLER,) if labels.get(COMPONENT) == CONTROLLER else ("deployments", labels[DEPLOYMENT])
    pod: Place = ("spec", "template", "spec")
    container: Place = (*pod, "containers", 0)
    for name in ("image", "imagePullPolicy"):
        if name in _at(body, container):
            yield _needed(body, (*whose, name), (*container, name))
    for name, empty in CONTAINER.items():
        yield _optional(body, (*whose, name), (*container, name), empty)
    for name, empty in POD.items():
        yield _optional(body, (*whose, name), (*pod, name), empty)


def _needed(body: Json, value: tuple[str, ...], place: Place) -> Setting:
    return Setting(value, place, _at(body, place), False)


def _optional(body: Json, value: tuple[str, ...], place: Place, empty: object) -> Setting:
    return Setting(value, place, _at(body, place[:-1]).get(place[-1], empty), True)


def _at(body: Json, place: Place) -> Any:
    found: Any = body
    for part in place:
        found = found[part]
    return found
