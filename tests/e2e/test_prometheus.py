"""A stack watched by a real Prometheus, with the files that `fs plan -o prometheus` wrote for it."""

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from finsight_serve.testing.real_env import find_free_port

from .drawn import assert_all_is_drawn
from .stand import MODEL, Stand
from .waiting import wait_until

FAST = {"scrape_interval": "1s", "evaluation_interval": "1s"}
"""In place of the shipped fifteen seconds, so that a test need not wait for minutes."""
JOBS = {"finsight-controller", "finsight-engines", "finsight-nginx"}


@dataclass(frozen=True)
class Prometheus:
    url: str
    http: httpx.Client

    def get(self, path: str, **params: str) -> Any:
        answer = self.http.get(f"{self.url}/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def ask(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        return [(one["metric"], float(one["value"][1])) for one in self.get("query", query=query)["result"]]

    def is_ready(self) -> bool:
        try:
            return self.http.get(f"{self.url}/-/ready").is_success
        except httpx.TransportError:
            return False

    def rules(self) -> list[Mapping[str, Any]]:
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self.get("alerts")["alerts"] if one["state"] == "firing"}


@contextmanager
def running(folder: Path) -> Iterator[Prometheus]:
    """On the configuration in `folder`, at another pace."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is missing (Debian's package of that name)")
    file, yaml = folder / "prometheus.yml", YAML()
    config = yaml.load(file)
    config["global"] = FAST
    yaml.dump(config, file)
    port = find_free_port()
    argv = [program, f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(timeout=5, trust_env=False) as http:
                found = Prometheus(f"http://127.0.0.1:{port}", http)
                wait_until(found.is_ready, 60, "Prometheus is ready")
                yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


AT_NIGHT = {"days": ["mon"], "start": "22:00", "end": "23:00", "timezone": "UTC"}
NIGHTLY = {"name": "night", "weekly": AT_NIGHT, "min_replicas": 2}


def deployment(name: str, **policy: Any) -> Mapping[str, Any]:
    bounds = {"min_replicas": 1, "max_replicas": 2}
    return {"name": name, "model": MODEL, "engine": "sim", "policy": {**bounds, **policy}}


@pytest.fixture
def watched(stand: Stand) -> Iterator[tuple[Stand, Prometheus]]:
    ports = {name: f"127.0.0.1:{find_free_port()}" for name in ("controller", "nginx")}
    stand.write(
        metrics={"listen": ports["controller"]},
        balancer={"metrics_listen": ports["nginx"]},
        deployments=[deployment("chat", slo={"p99_ttft_s": 60}, schedule=[NIGHTLY]), deployment("code")],
    )
    stand.serve()
    folder = stand.folder / "prometheus"
    done = stand.fs("plan", "-o", "prometheus", "--to", str(folder))
    assert done.returncode == 0, done.stderr
    with running(folder) as prometheus:
        yield stand, prometheus


def complete(prometheus: Prometheus) -> float:
    return sum(value for _, value in prometheus.ask('finsight_requests_total{tenant="default",outcome="complete"}'))


def test_everything_is_scraped_recorded_and_watched(watched: tuple[Stand, Prometheus]) -> None:
    stand, prometheus = watched

    def all_are_up() -> bool:
        up = prometheus.ask("up")
        return {labels["job"] for labels, _ in up} == JOBS and all(value == 1 for _, value in up)

    wait_until(all_are_up, 60, "every target is up")
    running = 'vllm:num_requests_running{deployment="chat"}'
    engine, *_ = wait_until(lambda: prometheus.ask(running), 60, "the engine of each deployment is found")
    assert (engine[0]["deployment"], engine[0]["stack"]) == ("chat", "stand")

    client = stand.client()
    for _ in range(3):
        client.chat.completions.create(model="sim-model", messages=[{"role": "user", "content": "hello"}])
    wait_until(lambda: complete(prometheus) == 3, 60, "three requests are counted")
    (first,) = prometheus.ask("sum(finsight_time_to_first_token_seconds_count)")
    assert first[1] == 3

    def evaluated() -> bool:
        return all(rule["lastEvaluation"] > "0002" for rule in prometheus.rules())

    wait_until(evaluated, 60, "every rule was evaluated")
    wrong = {rule["name"]: rule.get("lastError") for rule in prometheus.rules() if rule["health"] != "ok"}
    assert wrong == {}
    ratio = wait_until(
        lambda: prometheus.ask("stack:finsight_requests_errors:ratio_rate5m"), 30, "the ratio of errors is recorded"
    )
    assert [value for _, value in ratio] == [0.0]
    done = stand.fs("migrate", "default", "--to", "code", "--hold", "1h", "--yes", "--detach")
    assert done.returncode == 0, done.stderr
    assert_all_is_drawn(stand, prometheus)
    assert prometheus.firing() == set()


def test_counters_go_on_where_they_were_when_the_controller_is_started_again(
    watched: tuple[Stand, Prometheus],
) -> None:
    stand, prometheus = watched
    client = stand.client()
    client.chat.completions.create(model="sim-model", messages=[{"role": "user", "content": "hello"}])
    wait_until(lambda: complete(prometheus) == 1, 60, "the request is counted")
    stand.serving.process.kill()
    stand.serving.wait_ended()
    wait_until(lambda: prometheus.ask('up{job="finsight-controller"} == 0'), 60, "the controller is missed")
    wait_until(lambda: "FinSightControllerDown" in pending(prometheus), 60, "its alert is on its way")
    client.chat.completions.create(model="sim-model", messages=[{"role": "user", "content": "hello"}])
    stand.serve()
    wait_until(lambda: complete(prometheus) == 2, 60, "both requests are counted")
    assert prometheus.ask('sum(resets(finsight_requests_total{tenant="default"}[5m]))')[0][1] == 0


def pending(prometheus: Prometheus) -> set[str]:
    return {one["labels"]["alertname"] for one in prometheus.get("alerts")["alerts"]}


def test_nothing_listens_unless_it_is_asked_for(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FS_LOG_FORMAT", "json")
    stand.write()
    stand.serve()
    logged = [json.loads(line) for line in stand.serving.output.splitlines() if line.startswith("{")]
    assert {"stack_chosen", "replica_ready", "applied"} <= {one.get("event") for one in logged}
    assert all(one["time"] and one["message"] for one in logged)
    client = httpx.Client(transport=httpx.HTTPTransport(uds=str(stand.state / "controller.sock")), trust_env=False)
    with client:
        assert "finsight_replicas{" in client.get("http://controller/metrics").text
    done = stand.fs("plan", "-o", "prometheus", "--to", str(stand.folder / "x"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"fs: {stand.file}: metrics.listen says nowhere, so Prometheus would find nothing")
    assert not (stand.folder / "x").exists()


def test_a_port_in_use_is_a_line_before_anything_starts(stand: Stand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        stand.write(metrics={"listen": address})
        serving = stand.start()
        assert serving.wait_ended() == 2
    assert f"fs: metrics.listen: {address}: port {address.rpartition(':')[2]} is in use by" in serving.output
    assert "Key" not in serving.output
