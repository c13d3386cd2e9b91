"""A namespace for one test."""

import contextlib
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .errors import HarnessError
from .kubectl import Kubectl


@contextmanager
def temporary_namespace(kubectl: Kubectl, labels: Mapping[str, str]) -> Iterator[str]:
    """Made with `labels`; deleted with all that is in it, pods at once, without waiting for the end."""
    name = f"t-{secrets.token_hex(4)}"
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}})
    try:
        kubectl.wait(lambda: kubectl("get", "serviceaccount", "default", "-n", name), 60, f"namespace {name}")
        yield name
    finally:
        with contextlib.suppress(HarnessError, subprocess.TimeoutExpired):  # the cluster may be gone by now
            kubectl("delete", "namespace", name, "--wait=false")
            kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false", "-n", name)
