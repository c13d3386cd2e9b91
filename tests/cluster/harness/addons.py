"""What runs on top: DNS, KEDA, a Gateway, and what Prometheus needs to see it all."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from .addresses import Addresses
from .builds import Binaries
from .control_plane import NODE
from .errors import HarnessError
from .images import Image
from .kubectl import Kubectl

MANIFESTS = Path(__file__).parent / "manifests"
PAUSE = "pause"
HOST = "host"
HOST_FOLDERS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}
PASSWD = "root:x:0:0::/root:/usr/sbin/nologin\nreplica:x:1000:1000::/tmp:/bin/sh\n"
PROMETHEUS_PORT = 9090
EXTERNAL_METRICS = "apiservice/v1beta1.external.metrics.k8s.io"
KEDA_IMAGES = {
    "keda": ("keda-operator", "keda"),
    "keda-metrics-apiserver": ("keda-adapter", "keda-adapter"),
    "keda-admission-webhooks": ("keda-admission-webhooks", "keda-admission-webhooks"),
}
"""Image that KEDA's manifests name → the binary, and what they call it."""


def images(binaries: Binaries, *, with_keda: bool) -> list[Image]:
    """With `host`, a pod runs this host's own programs: it mounts /usr and what else they need."""
    run = {PAUSE: ("pause", "pause"), "coredns": ("coredns", "coredns"), **(KEDA_IMAGES if with_keda else {})}
    ours = [Image(name, {path: binaries[file]}, command=(f"/{path}",)) for name, (file, path) in run.items()]
    return [*ours, Image(HOST, texts={"etc/passwd": PASSWD}, links=HOST_FOLDERS)]


def write_configs(
    state: Path, addresses: Addresses, kubeconfig: Path, metrics_key: Path, scrape_interval_s: float
) -> None:
    (state / "targets").mkdir()
    gateway = {"gatewayRef": {"name": "gateway", "namespace": "projectcontour"}}
    (state / "contour.json").write_text(json.dumps({"gateway": gateway}))
    (state / "prometheus.yaml").write_text(
        _render(
            "prometheus",
            scrape_interval_s=f"{scrape_interval_s:g}",
            kubeconfig=str(kubeconfig),
            metrics_key=str(metrics_key),
            targets=str(state / "targets"),
        )
    )


def commands(
    state: Path, addresses: Addresses, binaries: Binaries, kubeconfig: Path, envoy: Path
) -> Mapping[str, list[str]]:
    return {
        "contour": [
            str(binaries["contour"]),
            "serve",
            f"--kubeconfig={kubeconfig}",
            "--xds-address=127.0.0.1",
            "--xds-port=8001",
            "--insecure",
            "--disable-leader-election",
            "--kubernetes-client-qps=500",  # by default the status of five routes is written in a second
            "--kubernetes-client-burst=500",
            f"--config-path={state / 'contour.json'}",
            f"--ingress-status-address={addresses.node}",
        ],
        "envoy": [
            str(envoy),
            "--config-path",
            str(state / "envoy.json"),
            "--service-cluster",
            "projectcontour",
            "--service-node",
            NODE,
            "--disable-hot-restart",
            "--log-level",
            "warning",
        ],
        "kube-state-metrics": [
            str(binaries["kube-state-metrics"]),
            f"--kubeconfig={kubeconfig}",
            "--resources=deployments,horizontalpodautoscalers",
            "--host=127.0.0.1",
            "--port=8090",
            "--telemetry-host=127.0.0.1",
            "--telemetry-port=8091",
        ],
        "prometheus": [
            str(binaries["prometheus"]),
            f"--config.file={state / 'prometheus.yaml'}",
            f"--storage.tsdb.path={state / 'prometheus'}",
            f"--web.listen-address={addresses.node}:{PROMETHEUS_PORT}",
        ],
    }


def envoy_bootstrap(state: Path, binaries: Binaries) -> list[str]:
    admin = state / "envoy.sock"
    return [
        str(binaries["contour"]),
        "bootstrap",
        "--xds-address=127.0.0.1",
        "--xds-port=8001",
        f"--admin-address={admin}",
        str(state / "envoy.json"),
    ]


def install_dns(kubectl: Kubectl, addresses: Addresses) -> None:
    coredns = Image("coredns").reference
    kubectl("create", "-f", "-", stdin=_render("coredns", image=coredns, address=addresses.dns_service))


def install_keda(kubectl: Kubectl, binaries: Binaries) -> None:
    kubectl("create", "-f", "-", stdin=_keda(kubectl, binaries["keda"]))


def install_gateway_api(kubectl: Kubectl, binaries: Binaries) -> None:
    crds = [*sorted(binaries["gateway-crds"].glob("gateway*.yaml")), binaries["contour-crds.yaml"]]
    kubectl("create", *(f"--filename={path}" for path in crds))
    kubectl("create", "namespace", "projectcontour")
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")  # Contour asks once, and ends


def install_gateway(kubectl: Kubectl, addresses: Addresses) -> None:
    kubectl("create", "-f", "-", stdin=_render("gateway", node=addresses.node))


def _keda(kubectl: Kubectl, config: Path) -> str:
    """Its own manifests, with the images that were made here."""
    text = kubectl("kustomize", str(config / "default"))
    for name in KEDA_IMAGES:
        text = text.replace(f"ghcr.io/kedacore/{name}:main", Image(name).reference)
    if "ghcr.io" in text:
        raise HarnessError("KEDA's manifests name an image that isn't made here")
    text = text.replace("imagePullPolicy: Always", "imagePullPolicy: Never")
    # ready when it is, not 20 s later
    return re.sub(r"(\n +)initialDelaySeconds: 20\b", r"\1initialDelaySeconds: 1\1periodSeconds: 2", text)


def _render(name: str, **values: str) -> str:
    return Template((MANIFESTS / f"{name}.yaml").read_text()).substitute(values)
