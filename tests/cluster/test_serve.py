"""The main job on a cluster: the quickstart's model in pods with real vLLM, behind nginx, then behind a Gateway."""

import json
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from finsight_serve_k8s_keda.names import COMPONENT, ROUTES
from finsight_serve_vllm.wheel_model import find_wheel_model

from ..e2e.faults import ledger_rows
from ..e2e.printed import send_printed
from ..e2e.stand import Stand
from ..e2e.test_quickstart import MODEL_READY_S, QUESTION, QUICKSTART
from ..e2e.waiting import wait_until
from .gateways import gateway_options
from .stands import BACKEND, OURS, ClusterStand, Place, pods_of

TO_BE_TYPED = ("namespace", "kubeconfig", "context", "prometheus", "image", "image_pull_policy", "python", "volumes")


class Typed(ClusterStand):
    """What `write` says of the backend is typed on the command line instead, as a file without it needs."""

    flags: tuple[str, ...] = ()

    def argv(self, *command: str) -> list[str]:
        typed = ("--backend", BACKEND, *self.flags) if command[0] in ("serve", "plan", "validate") else ()
        return [*super().argv(*command), *typed]


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, Any]]:
    """The models' folder as an option `volumes` wants it; a copy, where pods may not read it."""
    found = find_wheel_model()
    if found is None:
        pytest.skip("the quickstart's model is not installed")
    folder = found.checkpoint.parent
    folder.mkdir(parents=True, exist_ok=True)
    copy = Path(tempfile.mkdtemp(prefix="fs-models-"))
    try:
        source = folder
        if any(not path.stat().st_mode & stat.S_IROTH for path in (folder, *folder.rglob("*"))):
            source = copy
            shutil.copytree(folder, copy, dirs_exist_ok=True)
            for path in (copy, *copy.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
        yield {"mount_path": str(folder), "host_path": str(source), "read_only": True}
    finally:
        shutil.rmtree(copy)


@pytest.fixture(scope="module")
def stand(cluster: Place, host_folders: list[Path], models: dict[str, Any]) -> Iterator[Typed]:
    """Serves examples/quickstart/fs.yaml with another port and the cluster's options, typed."""
    with cluster.namespace() as namespace, closing(Typed(cluster, namespace, name="quickstart")) as stand:
        options = options_of(stand, models)
        stand.flags = tuple(
            word
            for name in TO_BE_TYPED
            for word in (f"--{BACKEND}-{name.replace('_', '-')}", json.dumps(options[name]))
        )
        write(stand, load_balancer={"plugin": "nginx", "listen": f"127.0.0.1:{stand.port}"})
        stand.serve(MODEL_READY_S)
        yield stand


def options_of(stand: ClusterStand, models: dict[str, Any]) -> dict[str, Any]:
    options = pods_of(stand.cluster, stand.namespace)
    return {**options, "volumes": [*options["volumes"], models]}


def write(stand: ClusterStand, **sections: Any) -> None:
    data = YAML().load(QUICKSTART)
    data.update(sections)
    data["tenants"][0]["name"] = stand.tenant
    with stand.file.open("w") as file:
        YAML().dump(data, file)


def ask(stand: Stand) -> str:
    """The streamed answer's text."""
    stream = stand.client().chat.completions.create(
        model="smollm2", messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    usage = chunks[-1].usage
    assert usage is not None and 0 < usage.completion_tokens <= len(chunks)
    assert len(chunks) > 5, "it comes in parts"
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_the_printed_line_streams_an_answer_from_a_pod(stand: Typed) -> None:
    events = send_printed(stand.serving.output)
    assert len(events) > 5 and events[-1] == "data: [DONE]"
    assert any("Paris" in event for event in events)
    assert "Paris" in ask(stand)


def test_status_shows_pods_keda_and_targets(stand: Typed) -> None:
    def shown() -> dict[str, Any] | None:
        status = stand.status()
        measured = "load 0 per replica" in status["deployments"][0]["autoscaler"]
        return status if measured and status["replicas"][0]["health"] != "not probed yet" else None

    status = wait_until(shown, 120, "the autoscaler has a figure, and the probe its first answer", poll_s=1)
    assert status["backends"] == [{"name": BACKEND, "orchestrator": "k8s-keda", "state": "ok"}]
    (deployment,) = status["deployments"]
    assert deployment["autoscaler"] == "KEDA ready; 1 of 1-4 replicas; load 0 per replica, target 10"
    assert deployment["endpoint"].endswith(f"/{stand.namespace}/chat:8000")
    assert (deployment["ready"], deployment["min_replicas"], deployment["max_replicas"]) == (1, 1, 4)
    (replica,) = status["replicas"]
    assert [replica["id"]] == stand.pods()
    pod = stand.cluster.kubectl.json("get", "pod", replica["id"], "-n", stand.namespace)
    assert replica["address"] == f"{pod['status']['podIP']}:8000"
    assert (replica["state"], replica["health"]) == ("ready", "ok")


def test_a_plan_after_that_keeps_everything(stand: Typed) -> None:
    def planned() -> dict[str, Any] | None:
        done = stand.fs("plan", "-o", "json")
        assert done.returncode == 0, done.stderr
        plan: dict[str, Any] = json.loads(done.stdout)
        return None if plan["could not be looked at"] else plan

    changes = wait_until(planned, 90, "everything could be looked at")["changes"]
    assert {"Deployment/chat", "ScaledObject/chat"} <= {change["artefact"] for change in changes}
    assert {change["action"] for change in changes} == {"keep"}, changes


def test_the_gateway_comes_between_and_the_pods_live_on(stand: Typed, models: dict[str, Any]) -> None:
    """Another fs.yaml on the same state: nginx stays the edge, and now sends to a real Gateway."""
    pods, master, first = stand.pods(), stand.nginx().pid, stand.serving
    first.process.send_signal(signal.SIGTERM)
    assert first.wait_ended() == 0, first.output
    write(
        stand,
        load_balancer={"plugin": "gateway", **gateway_options(stand.cluster, stand.namespace)},
        edge={"plugin": "nginx", "listen": f"127.0.0.1:{stand.port}"},
    )
    stand.serve()
    assert stand.pods() == pods and stand.nginx().pid == master
    before = last_replicas(stand)
    assert "Paris" in ask(stand)
    new = wait_until(lambda: last_replicas(stand)[len(before) :], 60, "the ledger's row")
    assert [replica for replica, _ in new] == [stand.cluster.gateway_address], "it went through the Gateway"
    # the client library hangs up once it has the terminal event, which may be before the body's own end
    assert {outcome for _, outcome in new} <= {"complete", "client_closed"}
    routes = stand.cluster.kubectl.json("get", "httproutes", "-n", stand.namespace)["items"]
    assert [route["spec"]["rules"][0]["backendRefs"][0]["name"] for route in routes] == ["chat"]


def test_the_gateway_leaves_and_its_routes_go_with_it(stand: Typed) -> None:
    """The first fs.yaml again: pods and nginx live on."""
    pods, master, first = stand.pods(), stand.nginx().pid, stand.serving
    first.process.send_signal(signal.SIGTERM)
    assert first.wait_ended() == 0, first.output
    write(stand, load_balancer={"plugin": "nginx", "listen": f"127.0.0.1:{stand.port}"})
    stand.serve()
    assert stand.pods() == pods and stand.nginx().pid == master
    where = ("httproutes,endpointslices", "-n", stand.namespace, "-l", f"{OURS},{COMPONENT}={ROUTES}", "-o", "name")
    wait_until(lambda: not stand.cluster.kubectl("get", *where).strip(), 60, "no routes are left in the cluster")
    assert "Paris" in ask(stand)


def last_replicas(stand: Stand) -> list[tuple[str, str]]:
    """(replica, outcome) of every request so far, in order."""
    return list((ledger_rows(stand.state, ()) or {}).values())
