"""The identity that replicas run under. They ask the API server nothing: no role, and no token is mounted. Pure."""

from collections.abc import Mapping

from .kinds import Json
from .options import Options


def service_account(name: str, labels: Mapping[str, str], options: Options) -> Json:
    annotations = options.service_account_annotations
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": name,
            "namespace": options.namespace,
            "labels": dict(labels),
            **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
        },
        "automountServiceAccountToken": False,
    }
