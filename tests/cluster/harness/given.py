"""A cluster that somebody else runs: what the harness can't know of it is skipped by name."""

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from .kubectl import Kubectl
from .namespaces import temporary_namespace

TOLD = {
    "gateway_address": ("FS_TEST_GATEWAY", "HOST:PORT of a Gateway's listener, as this host reaches it"),
    "gateway_in_cluster": ("FS_TEST_GATEWAY_IN_CLUSTER", "HOST:PORT of that listener, as pods reach it"),
    "prometheus_url": ("FS_TEST_PROMETHEUS", "URL of a Prometheus, as this host and KEDA reach it"),
    "metrics_key": ("FS_TEST_METRICS_KEY", "the bearer key that it sends to replicas"),
    "host_address": ("FS_TEST_HOST_ADDRESS", "this host's address, as pods reach it"),
    "pod_cidr": ("FS_TEST_POD_CIDR", "the pods' addresses, if this host has a route to them"),
    "host_image": ("FS_TEST_HOST_IMAGE", "an image for pods that mount this host's own folders"),
}


class GivenCluster:
    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        found = shutil.which("kubectl")
        if not found:
            pytest.skip("no kubectl for the cluster that FS_TEST_KUBECONFIG names")
        self.context = Kubectl(Path(found), kubeconfig)("config", "current-context").strip()
        self.kubectl = Kubectl(Path(found), kubeconfig, self.context)

    def namespace(self, **labels: str) -> AbstractContextManager[str]:
        return temporary_namespace(self.kubectl, labels)

    def __getattr__(self, name: str) -> str:
        """Everything else that the harness's own cluster offers."""
        if name not in TOLD:
            pytest.skip(f"the cluster that FS_TEST_KUBECONFIG names is not ours to ask for {name}")
        variable, meaning = TOLD[name]
        value = os.environ.get(variable)
        if not value:
            pytest.skip(f"{variable} is not set: {meaning}")
        return value
