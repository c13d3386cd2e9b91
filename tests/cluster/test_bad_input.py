"""What a person can get wrong about a cluster, each told in one line that says what to do, with nothing changed."""

import base64
import json
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from ruamel.yaml import YAML

from finsight_serve.plugin import ApplyError
from finsight_serve_k8s_keda.convergence import converge
from finsight_serve_k8s_keda.kinds import CONFIG_MAP, SCALED_OBJECT
from finsight_serve_k8s_keda.kube_api import connect
from finsight_serve_k8s_keda.names import REPLICAS, component_labels
from finsight_serve_k8s_keda.options import Access

from ..e2e.waiting import wait_until
from .applied import Applying

SECRET = "s3cr3t-of-a-plugin"
EXEC_API = "client.authentication.k8s.io/v1"


@pytest.fixture
def applying(cluster: Any, namespace: str, tmp_path: Path) -> Applying:
    return Applying(cluster.kubectl, namespace, cluster.prometheus_url, tmp_path)


@pytest.fixture
def config(applying: Applying) -> Any:
    """The cluster's kubeconfig with one cluster, one user and one context, all "c"; what it names by path is in it."""
    raw = applying.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json")
    found = json.loads(raw)
    for section in ("clusters", "users", "contexts"):
        found[section][0]["name"] = "c"
    found["contexts"][0]["context"] |= {"cluster": "c", "user": "c"}
    return found | {"current-context": "c"}


def written(folder: Path, config: Mapping[str, Any]) -> str:
    path = folder / "kubeconfig"
    with path.open("w") as file:
        YAML(typ="safe").dump(json.loads(json.dumps(config)), file)
    path.chmod(0o600)
    return str(path)


def both(applying: Applying) -> tuple[str, str]:
    """What `check` finds and what `apply` is refused with: the same, and nothing is there afterwards."""
    return applying.problem(), applying.refusal("chat")


def test_no_kubeconfig(applying, tmp_path, monkeypatch):
    gone = applying.but(kubeconfig=str(tmp_path / "none"), context=None)
    for line in both(gone):
        assert f"there is no kubeconfig {tmp_path}/none" in line
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert (
        gone.but(kubeconfig=None).problem().startswith("kubeconfig: there is no kubeconfig: ~/.kube/config isn't there")
    )


@pytest.mark.parametrize("text", ["]", "[]", "a: 1", "", "clusters: 5\ncontexts: 6\n"])
def test_a_kubeconfig_that_is_none(applying, tmp_path, text):
    (tmp_path / "bad").write_text(text)
    for line in both(applying.but(kubeconfig=str(tmp_path / "bad"), context=None)):
        assert f"{tmp_path}/bad" in line
        assert "Traceback" not in line


def test_a_context_that_is_not_there(applying, config, tmp_path):
    lost = applying.but(kubeconfig=written(tmp_path, config), context="west")
    assert lost.problem().startswith("context: ")
    for line in both(lost):
        assert "has no context 'west'; set the option `context` to one that it has: c" in line


def elsewhere(applying: Applying, config: Any, folder: Path, server: str, **options: Any) -> Applying:
    config["clusters"][0]["cluster"]["server"] = server
    return applying.but(kubeconfig=written(folder, config), context="c", **options)


def test_an_api_server_that_is_not_there(applying, config, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{taken.getsockname()[1]}"
        for line in both(elsewhere(applying, config, tmp_path, server)):
            assert f"the Kubernetes API server {server} can't be reached: " in line


def test_an_api_server_that_never_answers(applying, config, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"https://127.0.0.1:{silent.getsockname()[1]}"
        for line in both(elsewhere(applying, config, tmp_path, server, request_timeout_s=0.5)):
            assert f"the Kubernetes API server {server} has not answered in 0.5 s" in line
            assert "request_timeout_s" in line


def test_an_api_server_whose_name_does_not_exist(applying, config, tmp_path):
    for line in both(elsewhere(applying, config, tmp_path, "https://cluster.invalid:6443")):
        assert "https://cluster.invalid:6443 can't be reached" in line


def test_an_api_server_that_is_not_trusted(applying, config, tmp_path):
    cluster = config["clusters"][0]["cluster"]
    if "certificate-authority-data" not in cluster:
        pytest.skip("the cluster's certificate is signed by a public authority")
    del cluster["certificate-authority-data"]
    for line in both(applying.but(kubeconfig=written(tmp_path, config), context="c")):
        assert "isn't trusted" in line
        assert "certificate-authority" in line


@pytest.mark.parametrize("user", [{"token": "expired"}, {}])
def test_credentials_that_are_expired_or_none(applying, config, tmp_path, user):
    config["users"][0]["user"] = user
    for line in both(applying.but(kubeconfig=written(tmp_path, config), context="c")):
        assert "does not accept the credentials of user 'c' of" in line
        assert "log in to the cluster again" in line


@contextmanager
def account(applying: Applying, config: Any, *rules: Mapping[str, Any]) -> Iterator[str]:
    """A service account's token, with the rights of `rules` in the namespace."""
    where = ("-n", applying.namespace)
    applying.kubectl("create", "serviceaccount", "little", *where)
    group, meta = "rbac.authorization.k8s.io", {"name": "little"}
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "little"},
        "subjects": [{"kind": "ServiceAccount", "name": "little", "namespace": applying.namespace}],
    }
    applying.kubectl.apply(role, binding, namespace=applying.namespace)
    yield applying.kubectl("create", "token", "little", *where).strip()


ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
ALL_BUT_KEDA = [
    {"apiGroups": ["", "apps", "policy", "networking.k8s.io", "autoscaling"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["get", "list", "watch"]},
]


def test_too_few_rights(applying, config, tmp_path):
    with account(applying, config, *ALL_BUT_KEDA) as token:
        config["users"][0]["user"] = {"token": token}
        little = applying.but(kubeconfig=written(tmp_path, config), context="c")
        assert little.problem() == (
            f"kubeconfig: these credentials may not, in namespace {applying.namespace}: create, patch, delete "
            "scaledobjects.keda.sh; bind a Role with these rights to their user (`kubectl auth can-i create "
            f"scaledobjects.keda.sh -n {applying.namespace}` says whether one is there)"
        )
        line = little.refusal("chat")
    assert f"may not patch scaledobjects.keda.sh in namespace {applying.namespace}" in line
    assert '{apiGroups: ["keda.sh"], resources: ["scaledobjects"], verbs: ["patch"]}' in line
    assert token not in line
    assert applying.left() == {"serviceaccount/little"}


def test_no_rights_at_all(applying, config, tmp_path):
    with account(applying, config) as token:
        config["users"][0]["user"] = {"token": token}
        little = applying.but(kubeconfig=written(tmp_path, config), context="c")
        assert "list, watch horizontalpodautoscalers.autoscaling" in little.problem()
        assert "may not list horizontalpodautoscalers.autoscaling" in little.refusal("chat")


def plugin_script(folder: Path, *lines: str) -> Mapping[str, Any]:
    """A user who gets credentials by a program."""
    script = folder / "credentials"
    script.write_text("\n".join((f"#!{sys.executable}", "import json, sys", *lines)))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {
            "apiVersion": EXEC_API,
            "command": str(script),
            "interactiveMode": "Never",
            "env": [{"name": "HINT", "value": "x"}],
        }
    }


@pytest.mark.parametrize(
    "lines",
    [
        [f"sys.exit('{SECRET}')"],
        [f"print('{SECRET}')"],
        ["print(json.dumps({'apiVersion': 'v0', 'kind': 'ExecCredential', 'status': {}}))"],
        [f"print(json.dumps({{'apiVersion': '{EXEC_API}', 'kind': 'ExecCredential', 'status': {{'{SECRET}': 1}}}}))"],
    ],
)
def test_a_credential_plugin_that_fails_is_not_quoted(applying, config, tmp_path, capfd, caplog, lines):
    config["users"][0]["user"] = plugin_script(tmp_path, *lines)
    for line in both(applying.but(kubeconfig=written(tmp_path, config), context="c")):
        assert f"the credential plugin '{tmp_path}/credentials' of {tmp_path}/kubeconfig failed" in line
        assert SECRET not in line
    assert SECRET not in caplog.text + "".join(capfd.readouterr())


def test_a_credential_plugin_that_is_not_installed(applying, config, tmp_path):
    config["users"][0]["user"] = {"exec": {"apiVersion": EXEC_API, "command": "no-such-login"}}
    assert "the credential plugin 'no-such-login' of" in applying.but(
        kubeconfig=written(tmp_path, config), context="c"
    ).refusal("chat")


def test_a_credential_plugins_token_is_used_and_renewed(applying, config, tmp_path):
    with account(applying, config, ALL) as token:
        (tmp_path / "token").write_text("expired")
        status = f"{{'token': open('{tmp_path}/token').read()}}"
        answer = f"{{'apiVersion': '{EXEC_API}', 'kind': 'ExecCredential', 'status': {status}}}"
        config["users"][0]["user"] = plugin_script(tmp_path, f"print(json.dumps({answer}))")
        path = written(tmp_path, config)

        async def asked() -> int:
            access = Access(kubeconfig=Path(path), namespace=applying.namespace)
            async with connect(access) as api:
                (tmp_path / "token").write_text(token)
                return len((await api.list(CONFIG_MAP))[0])

        assert anyio.run(asked) == 1
        applying.but(kubeconfig=path, context="c").apply("chat")


def test_certificates_inside_the_kubeconfig(applying, config, tmp_path):
    user = config["users"][0]["user"]
    if "client-key-data" in user:
        assert base64.b64decode(user["client-key-data"])
    applying.but(kubeconfig=written(tmp_path, config), context="c").apply("chat")


def test_no_namespace(applying):
    for line in both(applying.but(namespace="no-such-namespace")):
        assert "the cluster has no namespace no-such-namespace; `kubectl create namespace no-such-namespace`" in line
    assert applying.but(namespace="no-such-namespace").problem().startswith("namespace: ")


def scaled_object(name: str, target: str) -> Mapping[str, Any]:
    night = {"timezone": "UTC", "start": "0 1 * * *", "end": "0 2 * * *", "desiredReplicas": "1"}
    return {
        "apiVersion": SCALED_OBJECT.api_version,
        "kind": SCALED_OBJECT.kind,
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": {"name": target}, "triggers": [{"type": "cron", "metadata": night}]},
    }


def test_keda_refuses_a_second_scaled_object_on_a_deployment(applying):
    applying.kubectl.apply(scaled_object("rival", "chat"), namespace=applying.namespace)
    line = applying.refusal("chat")
    assert "Kubernetes refuses to patch ScaledObject chat: " in line
    assert "already managed by the ScaledObject 'rival'" in line
    assert "says the admission webhook" in line
    assert applying.left() == {"scaledobject.keda.sh/rival"}


def test_somebody_elses_autoscaler_on_the_deployment(applying):
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "mine"},
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}},
    }
    applying.kubectl.apply(hpa, namespace=applying.namespace)
    line = applying.refusal("chat")
    assert "Deployment chat is scaled by the HorizontalPodAutoscaler mine" in line
    assert f"kubectl delete hpa mine -n {applying.namespace}" in line
    assert applying.left() == set()


def test_a_quota_that_is_used_up(applying):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"services": "0"}},
    }
    applying.kubectl.apply(quota, namespace=applying.namespace)
    where = ("quota", "few", "-n", applying.namespace)
    wait_until(lambda: applying.kubectl.json("get", *where).get("status", {}).get("used"), 60, "the quota is counted")
    line = applying.refusal("chat")
    assert f"the quota 'few' of namespace {applying.namespace} leaves no room: it asks for services=1" in line
    assert applying.left() == set()


def test_somebody_elses_deployment_of_the_same_name(applying):
    applying.kubectl("create", "deployment", "chat", "--image=registry.invalid/none:1", "-n", applying.namespace)
    line = applying.refusal("chat")
    assert f"Deployment chat in namespace {applying.namespace} is someone else's (written by" in line
    assert "kubectl-create" in line
    assert applying.left() == {"deployment.apps/chat"}


def test_another_stacks_deployment_of_the_same_name(applying):
    applying.apply("chat")
    assert "is another stack's (app.kubernetes.io/instance=tests)" in applying.but(owner="another").refusal("chat")


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "x" * 254])
def test_names_that_kubernetes_forbids(applying, name):
    labels = dict(component_labels("tests", REPLICAS))
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": applying.namespace, "labels": labels},
    }

    async def refused() -> str:
        async with connect(applying.access) as api:
            with pytest.raises(ApplyError) as error:
                await converge(api, [body], [CONFIG_MAP], "tests", REPLICAS)
            return str(error.value)

    line = anyio.run(refused)
    assert f"Kubernetes refuses to patch ConfigMap {name}: metadata.name: " in line
    assert len(line.splitlines()) == 1


def test_a_field_that_this_cluster_does_not_know(applying):
    labels = dict(component_labels("tests", REPLICAS))
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": applying.namespace, "labels": labels},
        "dada": {"x": "y"},
    }

    async def refused() -> str:
        async with connect(applying.access) as api:
            with pytest.raises(ApplyError) as error:
                await converge(api, [body], [CONFIG_MAP], "tests", REPLICAS)
            return str(error.value)

    assert "dada" in anyio.run(refused)
