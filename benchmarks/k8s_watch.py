"""Memory of a controller's process that watches many pods. Run as a module, it is that process.

The pods are real objects of the API server, of the template that the backend renders, held back by a scheduling gate.
"""

import asyncio
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import DeploymentSpec, Launch
from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.convergence import each
from finsight_serve_k8s_keda.k8s_keda import K8sKeda
from finsight_serve_k8s_keda.kinds import POD, Json
from finsight_serve_k8s_keda.kube_api import KubeApi, connect
from finsight_serve_k8s_keda.names import deployment_labels

from . import kubernetes
from .kubernetes import Place

OWNER, NAME = "bench", "chat"
MB = 1e6
CONTROLLER = ("api", "assembly", "controller", "session")
"""What it has loaded, whatever it runs."""
SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
LAUNCH = Launch(("python3", "-c", "pass"), "", signals=SIGNALS, image="registry.invalid/none:1")


def measure(place: Place, namespace: str, pods: int) -> list[dict[str, Any]]:
    """A row for each moment: resident memory then, and the most there ever was."""
    options = {key: value for key, value in kubernetes.backend(place, namespace).items() if key != "orchestrator"}
    return asyncio.run(_measure(options, pods))


async def _measure(options: Mapping[str, Any], pods: int) -> list[dict[str, Any]]:
    plugin_options = K8sKeda.Options.model_validate(options)
    body = pod(options)
    async with connect(plugin_options) as api:  # type: ignore[arg-type]
        with watcher(options) as early:
            rows = [_row("nothing to watch yet", early.until(0))]
            started_s = time.monotonic()
            await each(lambda number: _create(api, body, number), range(pods))
            rows.append(_row(f"{pods} pods came, {time.monotonic() - started_s:.0f} s long", early.until(pods)))
            await each(lambda number: _touch(api, number), range(pods))
            await _remove(api, 0)
            rows.append(_row("each was changed once, and one is gone", early.until(pods - 1)))
        with watcher(options) as late:
            found = late.until(pods - 1)
            rows.append(_row(f"started anew: all listed after {found['after_s']:.1f} s", found))
        await each(lambda number: _remove(api, number), range(1, pods))
    return rows


def pod(options: Mapping[str, Any]) -> Json:
    """As a ReplicaSet would make it."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = K8sKeda(K8sKeda.Options.model_validate(options), make_env(Path(folder), OWNER))  # type: ignore[arg-type]
        plan = plugin.compile((DeploymentSpec(NAME, LAUNCH, AutoscalingPolicy()),))
    deployment = next(artefact.body for artefact in plan.artefacts if artefact.body["kind"] == "Deployment")
    spec: Json = deployment["spec"]["template"]["spec"]
    spec = {**spec, "serviceAccountName": "default", "schedulingGates": [{"name": "finsight-serve/bench"}]}
    labels = dict(deployment_labels(OWNER, NAME))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels}, "spec": spec}


async def _create(api: KubeApi, body: Json, number: int) -> None:
    metadata = {**body["metadata"], "name": f"{NAME}-{number}", "namespace": api.namespace}
    await api.create(POD, {**body, "metadata": metadata})


async def _touch(api: KubeApi, number: int) -> None:
    change = {"op": "add", "path": "/metadata/annotations", "value": {"bench": "touched"}}
    await api.patch(POD, f"{NAME}-{number}", [change])


async def _remove(api: KubeApi, number: int) -> None:
    await api.delete(POD, f"{NAME}-{number}")


class Watcher:
    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self._running = running

    def until(self, pods: int) -> dict[str, Any]:
        """What it tells once it sees so many. Raises `RuntimeError` if it ends before."""
        assert self._running.stdout
        for line in self._running.stdout:
            found: dict[str, Any] = json.loads(line)
            if found["pods"] == pods:
                return found
        raise RuntimeError(f"the watching process ended before it saw {pods} pods")


@contextmanager
def watcher(options: Mapping[str, Any]) -> Iterator[Watcher]:
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "benchmarks.k8s_watch", json.dumps(dict(options)), folder]
        running = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        try:
            yield Watcher(running)
        finally:
            running.terminate()
            running.wait()
            assert running.stdout
            running.stdout.close()


def _row(moment: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {"moment": moment, "resident_mb": found["resident_mb"], "most_mb": found["most_mb"]}


async def watch(options: Mapping[str, Any], folder: Path) -> None:
    """Tells of itself with every snapshot."""
    for module in CONTROLLER:
        importlib.import_module(f"finsight_serve.controller.{module}")
    started_s = time.monotonic()
    plugin = K8sKeda(K8sKeda.Options.model_validate(options), make_env(folder, OWNER))  # type: ignore[arg-type]
    async with aclosing(plugin.observe()) as snapshots:  # type: ignore[type-var]
        async for seen in snapshots:
            found = {
                "pods": len(seen.replicas),
                "after_s": time.monotonic() - started_s,
                "resident_mb": round(psutil.Process().memory_info().rss / MB),
                "most_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB),
            }
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(watch(json.loads(sys.argv[1]), Path(sys.argv[2])))
