"""A stack on this machine whose deployments run on clusters: `fs` as a user runs it, nginx here, replicas as pods."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from openai import OpenAI

from ..e2e.load import Load
from ..e2e.stand import MODEL, Serving, Stand
from ..e2e.waiting import wait_until
from .gateways import gateway_options
from .harness.cluster import Cluster
from .harness.given import GivenCluster
from .harness.host_mounts import as_options, python_folders

Place = Cluster | GivenCluster

BACKEND = "k8s-keda"
READY_S = 120.0
GONE_S = 60.0
PRE_STOP_S, DRAIN_TIMEOUT_S = 2, 30
OURS = "app.kubernetes.io/managed-by=finsight-serve"
LEFT = "deployments,services,scaledobjects,poddisruptionbudgets,networkpolicies,configmaps,secrets,httproutes,pods"


def pods_of(place: Place, namespace: str, **options: Any) -> dict[str, Any]:
    """A backend of fs.yaml: pods that run this very environment, soon asked, soon ended."""
    return {
        "orchestrator": "k8s-keda",
        **access(place, namespace),
        "prometheus": place.prometheus_url,
        "scrape_interval_s": 2,
        "hpa_tolerance": True,
        "image": place.host_image,
        "image_pull_policy": "Never",
        "python": sys.executable,
        "volumes": as_options(python_folders()),
        "pre_stop_s": PRE_STOP_S,
        "drain_timeout_s": DRAIN_TIMEOUT_S,
        **options,
    }


def access(place: Place, namespace: str) -> dict[str, Any]:
    return {"kubeconfig": str(place.kubeconfig), "context": place.context, "namespace": namespace}


def deployment(
    name: str, backend: str = BACKEND, *, engine: str = "sim", policy: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """One replica, unless `policy` says otherwise."""
    return {
        "name": name,
        "model": MODEL,
        "backend": backend,
        "engine": engine,
        "policy": {"min_replicas": 1, "max_replicas": 1, **(policy or {})},
        **more,
    }


class ClusterStand(Stand):
    """`nginx`: pods are its direct targets. `gateway`: it is the edge of a real Gateway in the first cluster."""

    def __init__(
        self, cluster: Place, namespace: str, mode: Literal["nginx", "gateway"] = "nginx", *, name: str = "stand"
    ) -> None:
        super().__init__(name)
        self.cluster, self.namespace, self.mode = cluster, namespace, mode
        self.tenant = namespace  # behind one Gateway no two stacks may have a tenant of the same name

    def write(  # type: ignore[override]  # what differs are the deployments' options
        self,
        *,
        backends: Mapping[str, Mapping[str, Any]] | None = None,
        pods: Mapping[str, Any] | None = None,
        deployments: Sequence[Mapping[str, Any]] | None = None,
        engine: str = "sim",
        model: str = MODEL,
        engine_options: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
        nginx: Mapping[str, Any] | None = None,
        gateway: Mapping[str, Any] | None = None,
        **sections: Any,
    ) -> None:
        """`pods`, `nginx`, `gateway`: further options of those three; `backends`: others beside k8s-keda.

        Unless said otherwise there is one deployment, `chat`, and one tenant, the stand's own.
        """
        edge = {"plugin": "nginx", "listen": f"127.0.0.1:{self.port}", **(nginx or {})}
        inner = {"plugin": "gateway", **gateway_options(self.cluster, self.namespace, **(gateway or {}))}
        chat = deployment("chat", engine=engine, policy=policy, model=model, engine_options=dict(engine_options or {}))
        wanted = list(deployments or (chat,))
        used = {one["backend"] for one in wanted}
        known = {BACKEND: pods_of(self.cluster, self.namespace, **(pods or {})), **(backends or {})}
        super().write(
            backend=BACKEND if BACKEND in used else min(used),
            backends={name: options for name, options in known.items() if name in used},
            **({"load_balancer": edge} if self.mode == "nginx" else {"load_balancer": inner, "edge": edge}),
            deployments=wanted,
            **{"tenants": [{"name": self.tenant, "deployment": "chat"}], **sections},
        )

    def serve(self, deadline_s: float = READY_S) -> Serving:
        return super().serve(deadline_s)

    def client(self, tenant: str = "", *, key: str | None = None, verify: Any = True) -> OpenAI:
        return super().client(tenant or self.tenant, key=key, verify=verify)

    def load(self, tenant: str = "", **options: Any) -> Load:
        return super().load(tenant or self.tenant, **options)

    def pods(self, deployment: str = "chat") -> list[str]:
        """Names of those that are not ending."""
        selector = f"{OURS},app.kubernetes.io/name={deployment}"
        found = self.cluster.kubectl.json("get", "pods", "-n", self.namespace, "-l", selector)["items"]
        return [one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]]

    def close(self) -> None:
        """As a stand's, and nothing may be left in the namespace."""
        served = self.state.exists()
        super().close()
        if served:
            wait_until(lambda: not self.left(), GONE_S, "fs down has left nothing in the cluster")

    def left(self) -> str:
        """What carries the label of this stack's in the namespace, one a line."""
        return self.cluster.kubectl("get", LEFT, "-n", self.namespace, "-l", OURS, "-o", "name").strip()
