"""The environment that the engine sets. What may be a secret lies in a Secret, not in the text of the pod. Pure."""

import base64
import hashlib
import json
from collections.abc import Mapping

from finsight_serve.plugin import KEY_HASHES_ENV, Launch

from .kinds import Json
from .options import Options


def plain(launch: Launch) -> Mapping[str, str]:
    """Hashes of random keys are no secrets."""
    return {name: text for name, text in launch.env.items() if name in launch.plain_env or name == KEY_HASHES_ENV}


def hidden(launch: Launch) -> Mapping[str, str]:
    return {name: text for name, text in launch.env.items() if name not in plain(launch)}


def secret_name(deployment: str) -> str:
    return f"{deployment}-engine"


def secret(deployment: str, texts: Mapping[str, str], labels: Mapping[str, str], options: Options) -> Json:
    name = secret_name(deployment)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": options.namespace, "labels": dict(labels)},
        "type": "Opaque",
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in sorted(texts.items())},
    }


def digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
