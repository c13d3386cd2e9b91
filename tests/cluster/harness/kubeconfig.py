"""A kubeconfig that holds its keys, so that a copy of it works."""

import base64
import json
from pathlib import Path

from .certificates import Pair


def write_kubeconfig(path: Path, context: str, server: str, ca: Path, user: Pair) -> None:
    cluster = {"server": server, "certificate-authority-data": _base64(ca)}
    keys = {"client-certificate-data": _base64(user.certificate), "client-key-data": _base64(user.key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": context, "user": keys}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
