"""The compose file on a real Docker, with the simulated engine: it answers, stays answering, and says what is wrong."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from finsight_serve.drill.load import Caller, Load, count

from ...e2e.stand import Stand
from ...e2e.waiting import wait_until
from .project import Project, booted, lacking

TIMEOUT_S = 180.0

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def docker() -> None:
    if missing := lacking():
        pytest.skip(missing)


@pytest.fixture(scope="module")
def project(docker: None) -> Iterator[Project]:
    with booted(FS_ENGINE="sim") as found:
        yield found


@pytest.fixture(scope="module")
def caller(project: Project) -> Caller:
    return Caller(project.url, project.make_key(), "sim-model", clients=4)


def test_an_answer_is_streamed_on_the_one_port(project: Project, caller: Caller) -> None:
    body = {"model": caller.model, "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"Authorization": f"Bearer {caller.key}"}
    answer = httpx.post(f"{project.url}/v1/chat/completions", json=body, headers=headers, timeout=60, trust_env=False)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.count("data: {") >= 5 and answer.text.rstrip().endswith("data: [DONE]")
    without = httpx.post(f"{project.url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
    assert without.status_code == 401


def test_two_replicas_run_on_the_workers_and_none_on_the_head(project: Project) -> None:
    replicas = json.loads(project.fs("status", "-o", "json"))["replicas"]
    workers = {project.inspect(container).address for container in project.containers("worker")}
    assert len(workers) == 2
    assert {replica["address"].partition(":")[0] for replica in replicas if replica["state"] == "ready"} <= workers
    assert sum(replica["state"] == "ready" for replica in replicas) >= 2


@pytest.mark.parametrize(
    ("service", "runs"),
    [("head", "gcs_server"), ("worker", "raylet"), ("controller", "serve"), ("prometheus", "prometheus")],
)
def test_rays_token_stands_in_no_environment_and_no_argument(service: str, runs: str, project: Project) -> None:
    token = project.compose("exec", "-T", "head", "cat", "/var/lib/finsight/token/ray")
    assert len(token) == 64
    arguments = project.compose("exec", "-T", service, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    environment = project.compose("exec", "-T", service, "cat", "/proc/1/environ")
    assert runs in arguments and "PATH=" in environment
    assert token not in arguments + environment


def test_a_controller_outside_serves_on_the_same_cluster_and_leaves_it(project: Project, tmp_path: Path) -> None:
    token, stand = tmp_path / "ray-token", Stand("outside")
    project.compose("cp", "head:/var/lib/finsight/token/ray", str(token))
    token.chmod(0o600)
    (head,) = project.containers("head")
    cluster = ("--ray-address", f"http://{project.inspect(head).address}:8265", "--ray-auth-token-file", str(token))
    try:
        stand.write(backend="ray")
        served = stand.fs("serve", "--detach", *cluster)
        assert served.returncode == 0, served.stdout + served.stderr
        stand.note_keys(served.stdout)
        with stand.load(workers=2, rounds=2) as load:
            load.join()
        assert load.not_whole() == [] and load.count("whole") == 4
    finally:
        stand.close()
    assert httpx.get(f"{project.url}/health", timeout=60, trust_env=False).status_code == 200
    replicas = json.loads(project.fs("status", "-o", "json"))["replicas"]
    assert [replica["state"] for replica in replicas] == ["ready", "ready"]


@pytest.mark.parametrize("service", ["head", "controller"])
def test_what_only_decides_is_killed_and_comes_back_while_answers_go_on(
    service: str, project: Project, caller: Caller
) -> None:
    (container,) = project.containers(service)
    before = project.inspect(container)

    def is_back() -> bool:
        now = project.inspect(container)
        return now.started_at != before.started_at and now.health == "healthy"

    load = Load(caller).start()
    try:
        wait_until(lambda: load.complete_since(0) >= 8, TIMEOUT_S, "answers before the fault")
        killed_s = time.time()
        project.kill(container)
        wait_until(lambda: load.complete_since(killed_s) >= 4, TIMEOUT_S, "answers that began after it")
        assert not is_back(), "it came back before an answer was whole, so nothing was seen"
        wait_until(is_back, TIMEOUT_S, f"{service} healthy again")
    finally:
        load.stop()
    found = count(load.answers)
    assert (found.failed, found.truncated) == (0, 0)


def test_a_killed_nginx_comes_back_without_the_controller(project: Project, caller: Caller) -> None:
    project.compose("stop", "controller")
    try:
        (container,) = project.containers("nginx")
        before = project.inspect(container)
        project.kill(container)
        wait_until(lambda: project.inspect(container).started_at != before.started_at, TIMEOUT_S, "nginx started again")
        load = Load(caller).start()
        try:
            wait_until(lambda: load.complete_since(0) >= 4, TIMEOUT_S, "answers again")
        finally:
            load.stop()
    finally:
        project.up("controller")


def test_a_taken_port_is_named(docker: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        project = Project({"FS_ENGINE": "sim"}, port=held.getsockname()[1])
        try:
            done = project.try_compose("up", "--detach", "--no-deps", "nginx")
        finally:
            project.down()
    assert done.returncode and f"127.0.0.1:{project.port}" in done.stderr and "address already in use" in done.stderr


def test_too_little_memory_is_said_and_ends_the_command(docker: None) -> None:
    project = Project({"FS_ENGINE": "sim", "FS_WORKER_MEMORY": "300m"})
    try:
        done = project.try_compose("up", "--detach", "--wait", "worker")
        logs = project.compose("logs", "worker")
    finally:
        project.down()
    assert done.returncode
    assert "worker: has 300 MiB of memory and needs 1000: raise FS_WORKER_MEMORY" in logs
