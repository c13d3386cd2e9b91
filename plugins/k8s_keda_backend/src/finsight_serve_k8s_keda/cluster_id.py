"""Which cluster an `Access` leads to, told by what lies on this machine: two plugins must agree without asking it."""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .access import kubeconfig
from .options import Access

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration)
IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")


def cluster_id(access: Access, environ: Mapping[str, str] = os.environ, in_pod: Path = IN_POD) -> str:
    """12 hexadecimal digits; "" where it can't be told.

    A cluster is known by the authority that signs its API server, which is the same inside and outside of it, and by
    that server's URL where the authority is a public one.
    """
    try:
        found = _cluster(access, environ)
        identity = _authority(*found) if found else in_pod.read_bytes()
    except UNREADABLE:  # `check` says in words what is wrong
        return ""
    return hashlib.sha256(identity.strip()).hexdigest()[:12]


def _cluster(access: Access, environ: Mapping[str, str]) -> tuple[Mapping[str, Any], Path] | None:
    """The cluster's entry and the folder that its paths start from; None: no kubeconfig, so the pod's own files."""
    files = tuple(_files(access, environ))
    if not files:
        return None
    context_name = access.context or next(read["current-context"] for read, _ in files if read.get("current-context"))
    context, _ = _named(files, "contexts", context_name)
    entry, folder = _named(files, "clusters", context["context"]["cluster"])
    return entry["cluster"], folder


def _files(access: Access, environ: Mapping[str, str]) -> Iterator[tuple[Mapping[str, Any], Path]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    for path in (Path(part).expanduser() for part in kubeconfig(access, environ).split(os.pathsep) if part):
        try:
            yield YAML(typ="safe", pure=True).load(path), path.parent
        except YAMLError as error:
            raise ValueError(f"{path} is no YAML") from error


def _named(
    files: tuple[tuple[Mapping[str, Any], Path], ...], section: str, name: str
) -> tuple[Mapping[str, Any], Path]:
    """Of several files the first that has the name counts, as for kubectl."""
    for read, folder in files:
        for entry in read.get(section) or ():
            if entry["name"] == name:
                return entry, folder
    raise KeyError(name)


def _authority(cluster: Mapping[str, Any], folder: Path) -> bytes:
    if data := cluster.get("certificate-authority-data"):
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError("its authority is no base64") from error
    if path := cluster.get("certificate-authority"):
        return Path(folder, path).read_bytes()
    server: str = cluster["server"]
    return server.rstrip("/").encode()
