"""The one node: containerd, the kubelet, the pods' network and kube-proxy, as files and command lines."""

import json
from collections.abc import Mapping
from pathlib import Path

from .addresses import Addresses
from .builds import Binaries
from .control_plane import NODE

CONTAINERD = """
version = 2
root = "{state}/containerd"
state = "{state}/containerd-state"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true  # where it may not be lowered, runc fails otherwise
sandbox_image = "{pause}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni}"
conf_dir = "{state}/cni"
"""


def containerd_socket(state: Path) -> Path:
    return state / "containerd.sock"


def write_configs(state: Path, addresses: Addresses, cni: Path, pause: str, ca: Path, cgroup: str) -> None:
    (state / "containerd.toml").write_text(
        CONTAINERD.format(state=state, socket=containerd_socket(state), pause=pause, cni=cni)
    )
    (state / "cni").mkdir()
    (state / "cni" / "10-pods.conflist").write_text(json.dumps(_pod_network(state, addresses)))
    (state / "resolv.conf").write_text(f"nameserver {addresses.dns_service}\n")
    (state / "kubelet.json").write_text(json.dumps(_kubelet(state, addresses, ca, cgroup)))


def commands(
    state: Path, addresses: Addresses, binaries: Binaries, admin: Path, kubelet: Path
) -> Mapping[str, list[str]]:
    return {
        "containerd": ["containerd", "--config", str(state / "containerd.toml")],
        "kubelet": [
            str(binaries["kubelet"]),
            f"--config={state / 'kubelet.json'}",
            f"--kubeconfig={kubelet}",
            f"--root-dir={state / 'kubelet'}",
            f"--hostname-override={NODE}",
            f"--node-ip={addresses.node}",
        ],
        "kube-proxy": [
            str(binaries["kube-proxy"]),
            f"--kubeconfig={admin}",
            f"--hostname-override={NODE}",
            f"--cluster-cidr={addresses.pods}",
            "--proxy-mode=iptables",
            "--conntrack-max-per-core=0",  # only the first network namespace may set it
        ],
    }


def _pod_network(state: Path, addresses: Addresses) -> dict[str, object]:
    ranges = [[{"subnet": str(addresses.pods), "gateway": addresses.pod_gateway}]]
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": ranges,
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(state / "ipam"),
        },
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def _kubelet(state: Path, addresses: Addresses, ca: Path, cgroup: str) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{containerd_socket(state)}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [addresses.dns_service],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state / "resolv.conf"),
        "podLogsDir": str(state / "logs" / "pods"),
        "maxPods": 500,
        # a test machine's disk may be nearly full, and no image here can be pulled again
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "4s",
    }
