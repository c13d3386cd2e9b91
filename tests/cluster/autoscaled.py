"""Deployments whose load is what a test says, scaled by real KEDA and a real HPA on what a real Prometheus scraped."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import DeploymentSpec, Launch
from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.k8s_keda import K8sKeda

from ..e2e.waiting import wait_until
from .harness.host_mounts import as_options, python_folders
from .harness.kubectl import Kubectl

SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
SERVER = """
import signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Well(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
HTTPServer(("0.0.0.0", int(sys.argv[1])), Well).serve_forever()
"""
"""A replica that is well and does nothing: what it would say of its load, the test says in its place."""
IMAGE = "docker.io/local/host:1"
SYNC_S = 15.0


class Place(Protocol):
    """What of a cluster is needed here."""

    kubectl: Kubectl

    @property
    def host_address(self) -> str: ...

    @property
    def prometheus_url(self) -> str: ...

    def scrape(self, name: str, target: str, **labels: str) -> None: ...

    def namespace(self, **labels: str) -> AbstractContextManager[str]: ...


@dataclass
class Metrics:
    """What Prometheus is told of every deployment; None: nothing at all."""

    namespace: str
    load: dict[str, float | None] = field(default_factory=dict)
    open_at_the_edge: dict[str, float] = field(default_factory=dict)
    refused_at_the_edge: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        lines: list[str] = []
        for name, value in list(self.load.items()):
            if value is not None:
                labels = f'{{namespace="{self.namespace}",pod="{name}-0-0"}}'
                lines += [f"{SIGNALS['running']}{labels} {value:g}", f"{SIGNALS['waiting']}{labels} 0"]
        edge = {
            "finsight_ongoing_requests": self.open_at_the_edge,
            "finsight_refused_requests_total": self.refused_at_the_edge,
        }
        for metric, values in edge.items():
            lines += [f'{metric}{{tenant="t",deployment="{name}"}} {value:g}' for name, value in list(values.items())]
        return "".join(f"{line}\n" for line in lines)


@contextmanager
def served(metrics: Metrics, address: str) -> Iterator[str]:
    """HOST:PORT of an exporter."""

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a scrape has a deadline
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Counts:
    """What the replica counts of a namespace were, from a watch."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.seen: dict[str, list[tuple[float, int, int]]] = {}
        """Deployment → (monotonic time, wanted, ready)."""
        argv = [str(kubectl.binary), f"--kubeconfig={kubectl.kubeconfig}", "get", "deployments", "-n", namespace]
        argv += [f"--context={kubectl.context}"] if kubectl.context else []
        self._argv = [*argv, "--watch", "-o", "json"]
        self._closed = threading.Event()
        self._watch = self._start()
        threading.Thread(target=self._follow, daemon=True).start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)

    def _follow(self) -> None:
        """A watch that ends is begun anew, and then first tells what is."""
        while not self._closed.is_set():
            self._read()
            self._watch.wait()
            if not self._closed.wait(1):
                self._watch = self._start()
            if self._closed.is_set():
                self._watch.kill()

    def _read(self) -> None:
        assert self._watch.stdout is not None
        text, decoder = "", json.JSONDecoder()
        for line in self._watch.stdout:
            text += line
            if line.startswith("}"):
                body, _ = decoder.raw_decode(text)
                text = ""
                seen = self.seen.setdefault(body["metadata"]["name"], [])
                seen.append((time.monotonic(), body["spec"]["replicas"], body["status"].get("readyReplicas", 0)))

    def wanted(self, name: str) -> int | None:
        seen = self.seen.get(name)
        return seen[-1][1] if seen else None

    def ready(self, name: str) -> int | None:
        seen = self.seen.get(name)
        return seen[-1][2] if seen else None

    def close(self) -> None:
        self._closed.set()
        self._watch.kill()
        self._watch.wait()


@dataclass
class Autoscaled:
    """One deployment. Its steps are said in order; each waits for the world and never longer than its deadline."""

    place: Place
    metrics: Metrics
    counts: Counts
    folder: Path
    name: str

    def deploy(self, policy: AutoscalingPolicy, **options: Any) -> Sequence[Mapping[str, Any]]:
        """Applies all that the plugin renders for it, as people do who take its export."""
        plugin = K8sKeda(
            K8sKeda.Options.model_validate(self._options() | options), make_env(self.folder, "cluster-tests")
        )
        launch = Launch((sys.executable, "-c", SERVER, "{port}"), "", signals=SIGNALS, image=IMAGE, num_cpus=0.01)
        plan = plugin.compile((DeploymentSpec(self.name, launch, policy),))
        bodies = [artefact.body for artefact in plan.artefacts]
        stream = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
        self.kubectl("apply", "--server-side", "--field-manager=finsight-serve", "-f", "-", stdin=stream)
        return bodies

    def _options(self) -> dict[str, Any]:
        return {
            "namespace": self.metrics.namespace,
            "prometheus": self.place.prometheus_url,
            "scrape_interval_s": 2,
            "python": sys.executable,
            "image_pull_policy": "Never",
            "volumes": as_options(python_folders()),
            "pre_stop_s": 0,
            "drain_timeout_s": 1,
            "hpa_tolerance": True,
        }

    @property
    def kubectl(self) -> Kubectl:
        return self.place.kubectl

    def load(self, requests: float | None) -> None:
        self.metrics.load[self.name] = requests

    def edge(self, *, ongoing: float = 0, refused: float = 0) -> None:
        self.metrics.open_at_the_edge[self.name] = ongoing
        self.metrics.refused_at_the_edge[self.name] = refused

    def reaches(self, replicas: int, within_s: float = 8 * SYNC_S) -> None:
        def reached() -> bool:
            return self.counts.wanted(self.name) == replicas == (self.counts.ready(self.name) or 0)

        wait_until(reached, within_s, f"{self.name}: {replicas} replicas (had {self.history()})")

    def stays(self, replicas: int, for_s: float = 2.5 * SYNC_S) -> None:
        ends_s = time.monotonic() + for_s

        def over() -> bool:
            wanted = self.counts.wanted(self.name)
            assert wanted == replicas, f"{self.name}: {replicas} replicas became {wanted} ({self.history()})"
            return time.monotonic() > ends_s

        wait_until(over, for_s + 10, f"{self.name}: {replicas} replicas")

    def passes(self, for_s: float) -> None:
        ends_s = time.monotonic() + for_s
        wait_until(lambda: time.monotonic() > ends_s, for_s + 10, "time")

    def history(self) -> list[int]:
        """The counts that were wanted, in order."""
        wanted = [count for _, count, _ in self.counts.seen.get(self.name, [])]
        return [count for place, count in enumerate(wanted) if place == 0 or count != wanted[place - 1]]

    def recorded(self, since_s: float) -> Sequence[tuple[float, int]]:
        """The changes of the count that was wanted, with the one that stood at `since_s`, in seconds after it."""
        seen = [(at_s - since_s, count) for at_s, count, _ in self.counts.seen[self.name]]
        return [one for place, one in enumerate(seen) if place == 0 or one[1] != seen[place - 1][1]]

    def hpa(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.kubectl.json(
            "get", "hpa", f"keda-hpa-{self.name}", "-n", self.metrics.namespace
        )
        return found

    def condition(self, kind: str) -> str:
        return next((one["status"] for one in self.hpa()["status"]["conditions"] if one["type"] == kind), "none")
