"""The example under examples/finsight runs as its README says."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from finsight_serve.host import Host
from finsight_serve.policy import AutoscalingPolicy, ServiceLevel, TradingHours, Window, as_policy
from finsight_serve.stack import Stack, load_policy, load_stack
from finsight_serve.testing import find_free_port

EXAMPLE = Path(__file__).parents[3] / "examples" / "finsight"
KEY = "the-replicas-key"


@pytest.fixture(scope="module")
def stack() -> Stack:
    pytest.importorskip("ray.serve", reason="the example's policy is made of Ray's classes")
    return load_stack(EXAMPLE / "fs.yaml", Host())


def test_its_stack_is_what_the_readme_says(stack: Stack) -> None:
    assert [tenant.deployment for tenant in stack.tenants] == ["finsight"] * 5
    assert (stack.probe.options["timeout_s"], stack.health.failures_before_eviction) == (10, 2)


DEFAULT = AutoscalingPolicy(
    min_replicas=1,
    max_replicas=4,
    target_ongoing_requests=10,
    upscale_delay_s=30,
    downscale_delay_s=300,
    smoothing_factor=0.5,
)
MARKET_HOURS = AutoscalingPolicy(
    min_replicas=2,
    max_replicas=4,
    target_ongoing_requests=10,
    upscale_delay_s=30,
    downscale_delay_s=300,
    smoothing_factor=1.0,  # the file leaves it out, and that is what Ray takes for granted
)
NEW_YORK = TradingHours(exchange="XNYS", start="09:00", end="16:00", timezone="America/New_York")


def test_its_policy_is_the_one_of_the_python_file(stack: Stack) -> None:
    window = Window(name="market-hours", calendar=NEW_YORK, policy=MARKET_HOURS)
    assert stack.deployments[0].policy == replace(DEFAULT, schedule=(window,))


def test_its_policy_without_rays_classes_says_the_same() -> None:
    policy = load_policy("serving.policy:PLATFORM", EXAMPLE)
    window = Window(name="market-hours", calendar=NEW_YORK, policy=MARKET_HOURS, lead_s="measured")
    assert policy == replace(DEFAULT, slo=ServiceLevel(p99_wait_s=1), schedule=(window,))


def test_the_plain_ray_application_builds_with_the_same_policy(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    from serving.ray_serve_app import Arguments, build

    application = build(Arguments(engine="sim", model="demo", engine_options={"ttft_s": 0.5}))
    bound = application._bound_deployment
    assert bound.init_args == ("finsight_serve_sim.app:factory", ("--model", "demo", "--ttft-s=0.5"), {})
    assert as_policy(bound._deployment_config.autoscaling_config) == DEFAULT


@contextmanager
def sim_engine(*options: str) -> Iterator[str]:
    """The engine in a process of its own, behind a key. Yields its URL."""
    from hashlib import sha256

    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "finsight_serve_sim", "--port", str(port), "--model", "demo", *options]
    hashes = sha256(KEY.encode()).hexdigest()
    process = subprocess.Popen(argv, env={**os.environ, "FINSIGHT_KEY_SHA256": hashes})
    try:
        wait_until_it_listens(process, url)
        yield url
    finally:
        process.kill()
        process.wait()


def wait_until_it_listens(process: subprocess.Popen[bytes], url: str) -> None:
    transport = httpx.HTTPTransport(retries=10)  # with backoff: 0, 0.5, 1, 2, 4 s …
    with httpx.Client(transport=transport, trust_env=False) as client:
        assert client.get(f"{url}/health").status_code == 200
    assert process.poll() is None


def probe(url: str, *options: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(EXAMPLE / "serving" / "health_probe.py"), url, "--model", "demo", *options]
    return subprocess.run(argv, env={**os.environ, "FS_API_KEY": key}, capture_output=True, text=True, timeout=60)


def test_the_probe_finds_a_good_replica_healthy() -> None:
    with sim_engine() as url:
        done = probe(url)
    assert (done.returncode, done.stdout) == (0, "ok: healthy\n"), done.stderr


@pytest.mark.parametrize(
    ("options", "verdict"),
    [(("--hang",), "timeout"), (("--wrong",), "wrong"), (("--error-rate=1", "--error-status=503"), "saturated")],
)
def test_the_probe_evicts_after_two_failures(options: tuple[str, ...], verdict: str) -> None:
    with sim_engine(*options) as url:
        done = probe(url, "--timeout-s=0.5", "--period-s=0")
    expected = f"{verdict}: 1 of 2 in a row\n{verdict}: 2 of 2 in a row\nevict\n"
    assert (done.returncode, done.stdout) == (1, expected), done.stderr


def test_the_probe_forgives_a_single_failure() -> None:
    with sim_engine("--error-rate=0.5") as url:  # every second completion
        httpx.post(
            f"{url}/v1/completions",
            json={"model": "demo", "prompt": "a"},
            headers={"Authorization": f"Bearer {KEY}"},
            trust_env=False,
        ).raise_for_status()
        done = probe(url, "--period-s=0")
    assert (done.returncode, done.stdout) == (0, "wrong: 1 of 2 in a row\nok: healthy\n"), done.stderr


def test_the_probe_tells_a_refused_connection_apart() -> None:
    with socket.socket() as taken:  # bound but not listening: nobody else can listen there meanwhile
        taken.bind(("127.0.0.1", 0))
        done = probe(f"http://127.0.0.1:{taken.getsockname()[1]}", "--failures=1")
    assert (done.returncode, done.stdout) == (1, "refused: 1 of 1 in a row\nevict\n"), done.stderr


def test_the_probe_refuses_what_it_cannot_ask() -> None:
    done = probe("https://example.invalid")
    assert done.returncode == 2
    assert "https://example.invalid: must be http://host:port" in done.stderr
    assert "Traceback" not in done.stderr
