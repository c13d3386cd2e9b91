"""What people apply by their own means: the same in every form, what `fs serve` applies, and taken over whole."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from finsight_serve.testing import find_free_port
from finsight_serve_k8s_keda.options import Options
from finsight_serve_k8s_keda.readiness import rights

from ..e2e.run_fs import run_fs
from ..e2e.waiting import wait_until
from .harness.host_mounts import as_pod

START_S = 150.0
STACK, CONTROLLER = "shop", "shop-controller"
KEY = re.compile(r"fs-[\w-]{43}")
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}


class Shop:
    """A stack with one deployment of the sim engine, in a namespace; `fs` and `kubectl` on it."""

    def __init__(self, folder: Path, cluster: Any, namespace: str, image: str, mounts: list[dict[str, object]]) -> None:
        self.folder, self.kubectl, self.namespace = folder, cluster.kubectl, namespace
        self.options = {
            "namespace": namespace,
            "image": image,
            "image_pull_policy": "Never",
            "python": sys.executable,
            "prometheus": cluster.prometheus_url,
            "volumes": mounts,
            "pre_stop_s": 1,
            "drain_timeout_s": 1,
        }
        self.env = {"KUBECONFIG": str(cluster.kubeconfig), "FS_STATE_DIR": str(folder / "state")}
        self.port = find_free_port()
        self.write(listen=f"127.0.0.1:{self.port}")

    def write(self, *, listen: str, max_replicas: int = 2) -> None:
        policy = {"min_replicas": 1, "max_replicas": max_replicas}
        stack = {
            "name": STACK,
            "backend": "k8s-keda",
            "backends": {"k8s-keda": {"orchestrator": "k8s-keda", **self.options}},
            "load_balancer": {
                "plugin": "nginx",
                "listen": listen,
                "allow_plaintext": True,
                "workers": 1,
                "drain_timeout_s": 1,
            },
            "deployments": [{"name": "chat", "model": "m", "engine": "sim", "policy": policy}],
        }
        (self.folder / "fs.yaml").write_text(json.dumps(stack))

    def fs(self, *argv: str) -> str:
        done = run_fs(*argv, cwd=self.folder, env=self.env, timeout_s=START_S)
        assert done.returncode == 0, f"fs {' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def export(self, *argv: str) -> str:
        return self.fs("plan", "-o", "yaml", *argv)

    def differs(self, text: str) -> str:
        """What `kubectl diff` says; "" for nothing."""
        argv = [str(self.kubectl.binary), f"--kubeconfig={self.kubectl.kubeconfig}", "diff", "-f", "-"]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def apply(self, text: str) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def live(self, kind: str, name: str = "chat") -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.kubectl.json("get", kind, name, "-n", self.namespace)
        return found

    def wait_ready(self, name: str = "chat") -> None:
        def is_ready() -> bool:
            return bool(self.live("deployment", name)["status"].get("readyReplicas"))

        self.kubectl.wait(is_ready, START_S, f"a replica of {name}")

    def changes(self) -> list[str]:
        found = json.loads(self.fs("plan", "-o", "json"))
        assert not found["could not be looked at"]
        return [
            f"{change['action']} {change['artefact']}"
            for change in found["changes"]
            if change["action"] != "keep" and change["backend"] == "k8s-keda"
        ]


@pytest.fixture
def shop(
    tmp_path: Path, cluster: Any, namespace: str, host_image: str, host_mounts: list[dict[str, object]]
) -> Iterator[Shop]:
    made = Shop(tmp_path, cluster, namespace, host_image, host_mounts)
    yield made
    run_fs("down", cwd=tmp_path, env=made.env)


@pytest.fixture
def helm(cluster: Any) -> Callable[..., str]:
    binary = shutil.which("helm") or str(cluster.helm)

    def run(*argv: str) -> str:
        done = subprocess.run([binary, *argv], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def objects(text: str) -> dict[tuple[str, str, str], Any]:
    found = [body for body in YAML(typ="safe", pure=True).load_all(text) if body]
    return {(body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]): body for body in found}


@pytest.mark.parametrize("more", [(), ("--in-cluster", "--image", "fs:1", "--host", "llm.example.com")])
def test_helm_and_kustomize_render_what_yaml_says(shop: Shop, helm: Callable[..., str], more: tuple[str, ...]) -> None:
    shop.write(listen="0.0.0.0:8000")
    chart, folder = str(shop.folder / "chart"), str(shop.folder / "kustomize")
    told = objects(shop.export(*more))
    shop.fs("plan", "-o", "helm", "--to", chart, *more)
    shop.fs("plan", "-o", "kustomize", "--to", folder, *more)
    assert "0 chart(s) failed" in helm("lint", chart)
    assert objects(helm("template", "a-release", chart, "--namespace", shop.namespace)) == told
    assert objects(shop.kubectl("kustomize", folder)) == told


def test_a_charts_values_reach_the_pods(shop: Shop, helm: Callable[..., str]) -> None:
    chart = str(shop.folder / "chart")
    shop.fs("plan", "-o", "helm", "--to", chart)
    toleration = {"key": "gpu", "operator": "Exists"}
    values = {"deployments": {"chat": {"image": "other:2", "nodeSelector": {"a": "b"}, "tolerations": [toleration]}}}
    (shop.folder / "values.json").write_text(json.dumps(values))
    text = helm("template", "r", chart, "--namespace", "elsewhere", "--values", str(shop.folder / "values.json"))
    pod = objects(text)["Deployment", "elsewhere", "chat"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "other:2"
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"a": "b"}, [toleration])
    query = objects(text)["ScaledObject", "elsewhere", "chat"]["spec"]["triggers"][0]["metadata"]["query"]
    assert 'namespace="elsewhere"' in query and shop.namespace not in query


def test_what_serves_is_what_is_exported(shop: Shop) -> None:
    shop.fs("serve", "--detach")
    shop.wait_ready()
    assert shop.differs(shop.export()) == ""
    shop.write(listen=f"127.0.0.1:{shop.port}", max_replicas=3)
    shop.fs("apply", "--yes")
    assert shop.differs(shop.export()) == ""
    shop.apply(shop.export())  # by others too: what they set is what is there
    assert shop.changes() == []


def test_an_export_is_taken_over_and_then_served(shop: Shop) -> None:
    shop.apply(shop.export())
    shop.wait_ready()
    before = shop.live("deployment")
    imported = shop.fs("import", "--yes")
    assert "Deployment/chat" in imported and "ScaledObject/chat" in imported
    after = shop.live("deployment")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"], "no pod was replaced"
    assert shop.fs("import", "--yes").startswith("Nothing to import")
    assert not [change for change in shop.changes() if not change.startswith("change ")]
    shop.fs("serve", "--detach")
    shop.wait_ready()
    assert shop.changes() == []
    assert shop.live("deployment")["metadata"]["uid"] == before["metadata"]["uid"]
    shop.fs("down")
    kinds = "deployments,services,scaledobjects,networkpolicies,poddisruptionbudgets"
    gone = lambda: not shop.kubectl.json("get", kinds, "-n", shop.namespace)["items"]  # noqa: E731
    shop.kubectl.wait(gone, 60, "the end of all that was taken over")


@pytest.fixture
def volume(shop: Shop) -> Iterator[None]:
    """For the controller's claim, which no provisioner answers here."""
    place = shop.folder / "volume"
    place.mkdir()
    place.chmod(0o777)
    for folder in (shop.folder, *shop.folder.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)  # pods run as another user
    name = f"{shop.namespace}-state"
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(place)},
        "claimRef": {"namespace": shop.namespace, "name": CONTROLLER},
        "persistentVolumeReclaimPolicy": "Retain",
    }
    shop.kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    yield
    shop.kubectl("delete", "persistentvolume", name, "--wait=false")


def in_this_environment(shop: Shop, image: str, folders: list[Path]) -> str:
    """The exported folder, with what kustomize adds to it: here the pod has no image of its own."""
    place = shop.folder / "kustomize"
    shop.write(listen="0.0.0.0:8000")
    shop.fs("plan", "-o", "kustomize", "--to", str(place), "--in-cluster", "--image", image)
    volumes, mounts = as_pod(folders)
    container = {
        "name": "controller",
        "command": [sys.executable, "-m", "finsight_serve", "serve", "--no-greeting"],
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "volumeMounts": mounts,
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    pod = {"containers": [container], "volumes": volumes}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CONTROLLER, "namespace": shop.namespace},
        "spec": {"template": {"spec": pod}},
    }
    overlay = shop.folder / "overlay"
    overlay.mkdir()
    (overlay / "patch.json").write_text(json.dumps(patch))
    listing = {"resources": ["../kustomize"], "patches": [{"path": "patch.json"}]}
    (overlay / "kustomization.yaml").write_text(json.dumps(listing))
    return str(overlay)


def test_the_role_is_what_the_plugin_asks_for(shop: Shop) -> None:
    shop.write(listen="0.0.0.0:8000")
    shop.apply(shop.export("--in-cluster", "--image", "none:1"))
    shop.kubectl("scale", "deployment", CONTROLLER, "--replicas=0", "-n", shop.namespace)
    account = f"--as=system:serviceaccount:{shop.namespace}:{CONTROLLER}"

    def can(verb: str, resource: str, namespace: str = shop.namespace) -> bool:
        return shop.kubectl.works("auth", "can-i", verb, resource, account, "-n", namespace, "-q")

    asked = rights(Options.model_validate(shop.options))
    assert [(right.verb, right.resource) for right in asked if not can(right.verb, right.resource)] == []
    assert not can("create", "pods") and not can("create", "roles.rbac.authorization.k8s.io")
    assert not can("get", "pods", "kube-system") and not can("list", "nodes")


def test_a_controller_in_the_cluster_serves(
    shop: Shop, volume: None, host_image: str, host_folders: list[Path]
) -> None:
    shop.kubectl("apply", "--server-side", "-k", in_this_environment(shop, host_image, host_folders))
    shop.wait_ready(CONTROLLER)
    shop.wait_ready("chat")

    def fs(*argv: str) -> str:
        inside = ("exec", f"deploy/{CONTROLLER}", "-n", shop.namespace, "--")
        return str(shop.kubectl(*inside, sys.executable, "-m", "finsight_serve", *argv))

    assert not KEY.search(shop.kubectl("logs", f"deploy/{CONTROLLER}", "-n", shop.namespace))
    found = KEY.search(fs("tenant", "rotate", "default"))
    assert found is not None
    key = found[0]
    url = f"http://{shop.live('service', CONTROLLER)['spec']['clusterIP']}/v1/chat/completions"

    def ask() -> str:
        try:
            headers = {"Authorization": f"Bearer {key}"}
            answer = httpx.post(url, json=ASKED, headers=headers, trust_env=False, timeout=20)
        except httpx.HTTPError:
            return ""
        return answer.text if answer.status_code == 200 else ""

    assert wait_until(ask, 60, "an answer").endswith("data: [DONE]\n\n")
    replicas = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", "app.kubernetes.io/name=chat")["items"]
    pods = {pod["metadata"]["uid"] for pod in replicas}
    shop.kubectl("delete", "pod", "-n", shop.namespace, "-l", f"app.kubernetes.io/name={CONTROLLER}", timeout_s=90)
    shop.wait_ready(CONTROLLER)
    assert wait_until(ask, 60, "an answer of the next controller").endswith("data: [DONE]\n\n")
    replicas = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", "app.kubernetes.io/name=chat")["items"]
    assert pods == {pod["metadata"]["uid"] for pod in replicas}, "the next controller adopts what runs"
