"""A folder for kustomize: a file for each object, and the list of them. Pure."""

from collections.abc import Mapping, Sequence

from ..kinds import Json
from .manifest import file_name, to_yaml

LIST = "kustomization.yaml"


def kustomization(objects: Sequence[Json], head: str) -> Mapping[str, str]:
    listing = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [file_name(body) for body in objects],
    }
    return {LIST: head + to_yaml(listing), **{file_name(body): to_yaml(body) for body in objects}}
