"""One cluster: its start, its end, and what can be done to it in between."""

import json
import secrets
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import httpx

from . import addons, control_plane, node
from .addresses import Addresses
from .builds import Binaries
from .errors import HarnessError
from .images import Image, write_image
from .kubectl import Kubectl
from .namespaces import temporary_namespace
from .requirements import find_cni, find_envoy
from .sandbox import Sandbox

GATEWAY_SERVICE = "envoy.projectcontour.svc"


@dataclass(frozen=True)
class Settings:
    hpa_sync_period_s: float = 15.0  # Kubernetes' own default
    scrape_interval_s: float = 2.0
    with_us: bool = True  # ends with who started it, however that ends
    with_keda: bool = True
    with_gateway: bool = True  # the Gateway API, Contour and Envoy


class Cluster:
    """What tests ask for. All of its addresses are reached from this host, from its pods and from its node alike."""

    def __init__(self, state: Path, addresses: Addresses, binaries: Binaries) -> None:
        self.state, self.addresses, self.binaries = state, addresses, binaries
        self.name = state.name
        self.sandbox = Sandbox(state, addresses)
        self.kubeconfig = state / "admin.kubeconfig"
        self.context = f"finsight-{self.name}"
        self.kubectl = Kubectl(binaries["kubectl"], self.kubeconfig, self.context)

    # where things are

    @property
    def server(self) -> str:
        return control_plane.server_url(self.addresses)

    @property
    def pod_cidr(self) -> str:
        return str(self.addresses.pods)

    @property
    def host_address(self) -> str:
        """This host, as pods reach it."""
        return self.addresses.host

    @property
    def gateway_address(self) -> str:
        """HOST:PORT of the Gateway `projectcontour/gateway`'s listener."""
        return f"{self.addresses.node}:80"

    @property
    def gateway_in_cluster(self) -> str:
        return f"{GATEWAY_SERVICE}:80"

    @property
    def prometheus_url(self) -> str:
        """For KEDA and for here."""
        return f"http://{self.addresses.node}:{addons.PROMETHEUS_PORT}"

    @property
    def metrics_key(self) -> str:
        """The bearer key that its Prometheus sends to replicas."""
        return (self.state / "metrics.key").read_text()

    @property
    def helm(self) -> Path:
        return self.binaries["helm"]

    @property
    def host_image(self) -> str:
        """Runs this host's own programs, mounted, as user 1000."""
        return Image(addons.HOST).reference

    def namespace(self, **labels: str) -> AbstractContextManager[str]:
        return temporary_namespace(self.kubectl, labels)

    # faults and their ends

    def stop_api_server(self, number: int = signal.SIGKILL) -> None:
        """By SIGTERM it takes half a minute: it waits for what its clients watch."""
        self.sandbox.kill("kube-apiserver", number)

    def start_api_server(self) -> None:
        self._restart("kube-apiserver")
        self.kubectl.wait(lambda: self.kubectl("get", "--raw", "/readyz"), 60, "the API server")

    def kill_kubelet(self) -> None:
        self.sandbox.kill("kubelet")

    def start_kubelet(self) -> None:
        self._restart("kubelet")

    def stop_prometheus(self) -> None:
        self.sandbox.kill("prometheus", signal.SIGTERM)

    def start_prometheus(self) -> None:
        self._restart("prometheus")
        self.kubectl.wait(self._prometheus_is_ready, 60, "Prometheus")

    def scrape(self, name: str, target: str, **labels: str) -> None:
        """Lets Prometheus read http://TARGET/metrics, a HOST:PORT that it reaches, within seconds."""
        groups = [{"targets": [target], "labels": labels}]
        new = self.state / "targets" / f"{name}.new"
        new.write_text(json.dumps(groups))
        new.rename(new.with_suffix(".json"))

    def query(self, promql: str) -> list[dict[str, object]]:
        """The result of an instant query."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params={"query": promql}, trust_env=False, timeout=10)
        answer.raise_for_status()
        result: list[dict[str, object]] = answer.json()["data"]["result"]
        return result

    # life

    def start(self, settings: Settings) -> None:
        """Raises `HarnessError`, `AssertionError` when a part does not come up in time; `stop` then is the caller's."""
        envoy, cni = find_envoy(), find_cni()
        if not envoy or not cni:
            raise HarnessError("no Envoy or no CNI plugins")
        self.sandbox.open(with_us=settings.with_us)
        keys = control_plane.make_keys(self.state / "pki", self.addresses)
        admin, kubelet = control_plane.write_kubeconfigs(self.state, self.context, keys, self.addresses)
        metrics_key = self.state / "metrics.key"
        metrics_key.touch(mode=0o600)
        metrics_key.write_text(secrets.token_urlsafe(24))
        pause = Image(addons.PAUSE).reference
        node.write_configs(self.state, self.addresses, cni, pause, keys.ca, self.sandbox.cgroup)
        addons.write_configs(self.state, self.addresses, admin, metrics_key, settings.scrape_interval_s)
        commands = {
            **control_plane.commands(
                self.state, self.addresses, self.binaries, keys, admin, settings.hpa_sync_period_s
            ),
            **node.commands(self.state, self.addresses, self.binaries, admin, kubelet),
            **addons.commands(self.state, self.addresses, self.binaries, admin, envoy),
        }
        (self.state / "commands.json").write_text(json.dumps(commands))
        self._start("containerd", "etcd", "kube-apiserver")
        with ThreadPoolExecutor(8) as pool:
            imported = pool.map(self._import, addons.images(self.binaries, with_keda=settings.with_keda))
            self._install(settings)
            list(imported)  # a kubelet that misses an image would wait before it looks again
        self._start("kubelet", "kube-state-metrics", "prometheus")
        if settings.with_gateway:
            self._install_gateway()
        self._await(settings)

    def stop(self, *, keep_logs: bool = False) -> None:
        """Leaves nothing of it; with `keep_logs` its folder of logs."""
        if not self.state.exists():
            return
        self.sandbox.close()
        for entry in self.state.iterdir():
            if keep_logs and entry.name == "logs":
                continue
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        if not keep_logs:
            self.state.rmdir()

    @property
    def runs(self) -> bool:
        return self.sandbox.alive("init")

    @property
    def dead(self) -> list[str]:
        """Parts that ended by themselves, or by a fault not yet ended."""
        return [name for name in self.sandbox.started if not self.sandbox.alive(name)]

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def _install(self, settings: Settings) -> None:
        self.kubectl.wait(lambda: self.kubectl("get", "--raw", "/readyz"), 60, "the API server")
        self._start("kube-controller-manager", "kube-scheduler", "kube-proxy")
        addons.install_dns(self.kubectl, self.addresses)
        if settings.with_keda:
            addons.install_keda(self.kubectl, self.binaries)

    def _install_gateway(self) -> None:
        addons.install_gateway_api(self.kubectl, self.binaries)
        self.sandbox.run(*addons.envoy_bootstrap(self.state, self.binaries))
        self._start("contour", "envoy")
        addons.install_gateway(self.kubectl, self.addresses)

    def _await(self, settings: Settings) -> None:
        conditions = [
            ("Ready", f"node/{control_plane.NODE}"),
            ("Available", "deployment", "--all", "--all-namespaces"),
        ]
        if settings.with_keda:
            conditions.append(("Available", addons.EXTERNAL_METRICS))
        if settings.with_gateway:
            conditions.append(("Programmed", "gateway/gateway", "--namespace=projectcontour"))
        for condition, *what in conditions:
            wait = ("wait", "--timeout=5s", f"--for=condition={condition}", *what)
            self.kubectl.wait(partial(self.kubectl, *wait), 90, " ".join(what))
        self.kubectl.wait(self._prometheus_is_ready, 60, "Prometheus")

    def _prometheus_is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.prometheus_url}/-/ready", trust_env=False, timeout=2).is_success
        except httpx.HTTPError:
            return False

    def _import(self, image: Image) -> None:
        socket = str(node.containerd_socket(self.state))
        self.kubectl.wait(lambda: self.sandbox.run("ctr", "-a", socket, "version"), 60, "containerd")
        source = next(iter(image.files.values()), None)
        archive = source.with_suffix(".tar") if source else self.state / f"{image.name}.tar"
        if not archive.exists():
            write_image(image, archive)
        self.sandbox.run("ctr", "-a", socket, "-n", "k8s.io", "images", "import", str(archive), timeout_s=120)

    def _start(self, *names: str) -> None:
        commands = json.loads((self.state / "commands.json").read_text())
        for name in names:
            self.sandbox.start(name, commands[name])

    def _restart(self, name: str) -> None:
        if self.sandbox.alive(name):
            raise HarnessError(f"{name} runs already")
        self._start(name)


def addresses_of(state: Path) -> Addresses:
    return Addresses(IPv4Network((state / "net").read_text()))
