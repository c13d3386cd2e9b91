"""A bad fs.yaml, with the real plugins: what is wrong, where, what is allowed; exit code 2 and nothing made."""

import pytest

from .stand import Stand

GOOD = """\
name: bad
backend: local
load_balancer: {plugin: nginx, listen: "127.0.0.1:8000"}
deployments:
  - name: chat
    model: sim-model
    engine: sim
    policy: {min_replicas: 2, max_replicas: 2}
"""
TWO = GOOD + "  - {name: code, model: sim-model, engine: sim, policy: {min_replicas: 2, max_replicas: 2}}\n"
PORTS = "backends:\n  local: {{orchestrator: local, ports: {{chat: 21000, code: {}}}}}\n"

MISTAKES = {
    "unknown key": (GOOD.replace("min_replicas", "min_replica"), ":8: ", "did you mean min_replicas?"),
    "wrong type": (GOOD.replace("max_replicas: 2", "max_replicas: many"), ":8: ", 'found "many"'),
    "negative number": (GOOD.replace("min_replicas: 2", "min_replicas: -1"), ":8: ", "-1"),
    "duplicate deployment": (TWO.replace("name: code", "name: chat"), ":9: ", "two deployments are named chat"),
    "duplicate tenant": (
        GOOD + "tenants: [{name: a, deployment: chat}, {name: a, deployment: chat}]\n",
        ":9: ",
        "two tenants are named a",
    ),
    "bad breaker": (
        GOOD + "breaker:\n  error_rate: 50\n",
        ":10: ",
        "breaker.error_rate: must be greater than 0 and at most 1",
    ),
    "breaker key misspelt": (
        GOOD + "breaker: {opens_s: 5}\n",
        ":9: ",
        "breaker.opens_s: unknown key; did you mean open_s?",
    ),
    "bad request rate": (
        GOOD + "tenants: [{name: a, deployment: chat, requests_per_s: 0}]\n",
        ":9: ",
        "tenants[0].requests_per_s: must be greater than 0",
    ),
    "bad token limit": (
        GOOD + "tenants: [{name: a, deployment: chat, tokens_per_minute: lots}]\n",
        ":9: ",
        "tenants[0].tokens_per_minute: must be a whole number",
    ),
    "two deployments on one port": (TWO + PORTS.format(21000), "", "21000"),
    "two deployments whose ports overlap": (TWO + PORTS.format(21001), "", "21001"),
    "empty file": ("", "", "is empty; `fs init` writes one that works"),
    "not YAML": ("name: [", ":", "not valid YAML"),
    "unknown backend": (GOOD.replace("backend: local", "backend: locl"), ":2: ", "did you mean local?"),
    "nginx missing": (GOOD.replace('8000"', '8000", binary: /no/such/nginx'), "", "/no/such/nginx"),
}


@pytest.mark.alike(5)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(stand: Stand, mistake: str) -> None:
    text, place, message = MISTAKES[mistake]
    stand.file.write_text(text)
    done = stand.fs("serve")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("fs: ") and place in line and message in line
    assert "Traceback" not in line
    stand.assert_nothing_runs()


def test_an_nginx_that_is_too_old(stand: Stand) -> None:
    old = stand.folder / "nginx"
    old.write_text('#!/bin/sh\necho "nginx version: nginx/1.22.1" >&2\n')
    old.chmod(0o755)
    stand.file.write_text(GOOD.replace('8000"', f'8000", binary: {old}'))
    done = stand.fs("serve")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "1.22.1" in line and "1.27.4" in line
    stand.assert_nothing_runs()


def test_doctor_says_what_serve_would_refuse(stand: Stand) -> None:
    stand.file.write_text(GOOD.replace("engine: sim", "engine: vllm").replace("sim-model", "/no/such/model"))
    done = stand.fs("doctor")
    assert done.returncode == 1 and "/no/such/model" in done.stdout
