"""The command lines of what decides: etcd, API server, controller manager, scheduler. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .addresses import Addresses
from .builds import Binaries
from .certificates import Authority, Pair, write_key_pair
from .kubeconfig import write_kubeconfig

ETCD = "http://127.0.0.1:2379"
API_PORT = 6443
NODE = "node1"


@dataclass(frozen=True)
class Keys:
    ca: Path
    api_server: Pair
    admin: Pair
    kubelet: Pair
    aggregation: Pair
    tokens_public: Path
    tokens_private: Path


def server_url(addresses: Addresses) -> str:
    return f"https://{addresses.node}:{API_PORT}"


def make_keys(folder: Path, addresses: Addresses) -> Keys:
    folder.mkdir(mode=0o700)
    authority = Authority(folder)
    hosts = ["127.0.0.1", addresses.node, addresses.api_service, "localhost", "kubernetes.default.svc"]
    public, private = folder / "tokens.pub", folder / "tokens.key"
    write_key_pair(public, private)
    return Keys(
        authority.certificate,
        authority.issue("api-server", "kube-apiserver", hosts=hosts),
        authority.issue("admin", "admin", group="system:masters"),
        authority.issue("kubelet", f"system:node:{NODE}", group="system:nodes", hosts=[NODE, addresses.node]),
        authority.issue("aggregation", "front-proxy-client"),
        public,
        private,
    )


def write_kubeconfigs(state: Path, context: str, keys: Keys, addresses: Addresses) -> tuple[Path, Path]:
    """The administrator's and the kubelet's."""
    server = server_url(addresses)
    admin, kubelet = state / "admin.kubeconfig", state / "kubelet.kubeconfig"
    write_kubeconfig(admin, context, server, keys.ca, keys.admin)
    write_kubeconfig(kubelet, context, server, keys.ca, keys.kubelet)
    return admin, kubelet


def commands(
    state: Path, addresses: Addresses, binaries: Binaries, keys: Keys, admin: Path, hpa_sync_period_s: float
) -> Mapping[str, list[str]]:
    return {
        "etcd": _etcd(state, binaries),
        "kube-apiserver": _api_server(addresses, binaries, keys),
        "kube-controller-manager": [
            str(binaries["kube-controller-manager"]),
            f"--kubeconfig={admin}",
            "--leader-elect=false",
            f"--service-account-private-key-file={keys.tokens_private}",
            f"--root-ca-file={keys.ca}",
            "--use-service-account-credentials=true",
            f"--horizontal-pod-autoscaler-sync-period={hpa_sync_period_s:g}s",
        ],
        "kube-scheduler": [str(binaries["kube-scheduler"]), f"--kubeconfig={admin}", "--leader-elect=false"],
    }


def _etcd(state: Path, binaries: Binaries) -> list[str]:
    return [
        str(binaries["etcd"]),
        f"--data-dir={state / 'etcd'}",
        "--unsafe-no-fsync",  # the cluster does not outlive a crash of the machine
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ]


def _api_server(addresses: Addresses, binaries: Binaries, keys: Keys) -> list[str]:
    return [
        str(binaries["kube-apiserver"]),
        f"--etcd-servers={ETCD}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={addresses.node}",
        f"--service-cluster-ip-range={addresses.services}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        f"--tls-cert-file={keys.api_server.certificate}",
        f"--tls-private-key-file={keys.api_server.key}",
        f"--client-ca-file={keys.ca}",
        f"--kubelet-client-certificate={keys.admin.certificate}",
        f"--kubelet-client-key={keys.admin.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys.tokens_public}",
        f"--service-account-signing-key-file={keys.tokens_private}",
        "--enable-aggregator-routing=true",  # to KEDA's metrics adapter, whose Service's address no route leads to
        f"--requestheader-client-ca-file={keys.ca}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys.aggregation.certificate}",
        f"--proxy-client-key-file={keys.aggregation.key}",
    ]
