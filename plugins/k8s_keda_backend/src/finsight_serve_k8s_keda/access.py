"""Which cluster is meant and as whom it is asked: found from the options and the environment, without asking it."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import pathsep
from pathlib import Path

from .options import Access

POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True)
class Identity:
    """For sentences about refusals; it holds no credentials."""

    server: str
    kubeconfig: str  # its path or paths; "" in a pod
    context: str = ""
    user: str = ""

    @property
    def source(self) -> str:
        """Where it was read."""
        if not self.kubeconfig:
            return "the pod's environment"
        return f"context {self.context!r} of {self.kubeconfig}"

    @property
    def who(self) -> str:
        if not self.kubeconfig:
            return "the pod's service account"
        return f"user {self.user!r} of {self.kubeconfig}" if self.user else f"nobody ({self.source} names no user)"


def kubeconfig(access: Access, environ: Mapping[str, str]) -> str:
    """Path, or several with `os.pathsep` between them, as kubectl takes them; "" where there is no such file."""
    if access.kubeconfig:
        return str(access.kubeconfig) if access.kubeconfig.is_file() else ""
    named = environ.get("KUBECONFIG") or str(Path(environ.get("HOME") or Path.home()) / ".kube/config")
    return pathsep.join(path for path in named.split(pathsep) if path and Path(path).expanduser().is_file())


def is_in_cluster(access: Access, environ: Mapping[str, str]) -> bool:
    """Whether the pod's own credentials are there to be used, where no kubeconfig is."""
    asked = access.kubeconfig is not None or access.context is not None
    return not asked and bool(environ.get("KUBERNETES_SERVICE_HOST")) and POD_TOKEN.is_file()


def why_none(access: Access, environ: Mapping[str, str]) -> str:
    """What is missing where there is neither."""
    if access.kubeconfig:
        return f"there is no kubeconfig {access.kubeconfig}"
    named = environ.get("KUBECONFIG")
    where = f"$KUBECONFIG names {named}, which isn't there" if named else "~/.kube/config isn't there"
    return f"there is no kubeconfig: {where}, and this is not a pod"
