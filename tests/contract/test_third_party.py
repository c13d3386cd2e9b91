"""Foreign wheels beside ours in a fresh environment: a good backend works, a broken one is its own affair."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from finsight_serve.testing import find_free_port

ROOT = Path(__file__).parents[2]
OURS = (".", "plugins/nginx_lb", "plugins/sim_engine")
ACME = ROOT / "examples/acme_backend"
BROKEN = Path(__file__).parent / "broken_backend"
STACK = """\
name: acme
load_balancer: {{plugin: nginx, listen: "127.0.0.1:{port}"}}
deployments:
  - {{name: chat, model: sim, engine: sim, policy: {{min_replicas: 1, max_replicas: 1}}}}
"""


@dataclass(frozen=True)
class Environment:
    folder: Path
    home: Path

    def run(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        program = str(self.folder / "bin" / argv[0])
        return subprocess.run(
            [program, *argv[1:]], cwd=cwd or self.home, env=self._env(), capture_output=True, text=True, timeout=300
        )

    def list_plugins(self) -> dict[str, Mapping[str, str]]:
        listed = self.run("fs", "plugins", "list", "-o", "json")
        assert listed.returncode == 0, listed.stderr
        return {row["name"]: row for row in json.loads(listed.stdout)}

    def _env(self) -> dict[str, str]:
        own = {"HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state")}
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | own


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("uv is not installed: `pip install uv`")
    return found


@pytest.fixture(scope="module")
def environment(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Holds the core, nginx, the simulated engine and acme; no other backend."""
    folder = tmp_path_factory.mktemp("third_party")
    made = Environment(folder / "venv", folder / "home")
    made.home.mkdir()
    call(uv, "venv", "--quiet", "--python", sys.executable, str(made.folder))
    install(
        uv, made, *(build(uv, ROOT / part, folder) for part in OURS), build(uv, ACME, folder), "pytest", "hypothesis"
    )
    return made


@pytest.fixture
def with_broken(uv: str, environment: Environment, tmp_path: Path) -> Iterator[None]:
    install(uv, environment, build(uv, BROKEN, tmp_path))
    yield
    call(uv, "pip", "uninstall", "--quiet", "--python", str(environment.folder), "broken-fs-backend")


def test_acme_is_listed(environment: Environment) -> None:
    row = environment.list_plugins()["acme"]
    assert row["kind"] == "orchestrator"
    assert (row["distribution"], row["version"], row["state"]) == ("acme-fs-backend", "1.0.0", "installed")


def test_acme_passes_the_kit(environment: Environment, tmp_path: Path) -> None:
    tests = shutil.copytree(ACME / "tests", tmp_path / "tests")
    result = environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert "failed" not in result.stdout and " passed" in result.stdout


def test_broken_one_changes_its_own_line_only(
    uv: str, environment: Environment, request: pytest.FixtureRequest
) -> None:
    before = environment.list_plugins()
    shown = environment.run("fs", "plugins", "show", "acme")
    request.getfixturevalue("with_broken")
    after = environment.list_plugins()
    assert after.pop("broken")["distribution"] == "broken-fs-backend"
    assert after == before
    assert environment.run("fs", "plugins", "show", "acme").stdout == shown.stdout
    failed = environment.run("fs", "plugins", "show", "broken")
    assert failed.returncode == 2
    assert len(failed.stderr.splitlines()) == 1 and "libbroken.so.1 is missing" in failed.stderr


@pytest.mark.usefixtures("with_broken")
def test_acme_serves(environment: Environment, tmp_path: Path) -> None:
    port = find_free_port()
    (tmp_path / "fs.yaml").write_text(STACK.format(port=port))
    state = ("--state", str(tmp_path / "state"))
    refused = environment.run("fs", "serve", "--backend", "broken", *state, cwd=tmp_path)
    assert refused.returncode == 2
    assert "libbroken.so.1 is missing" in refused.stderr and "Traceback" not in refused.stderr
    try:
        served = environment.run("fs", "serve", "--backend", "acme", "--detach", *state, cwd=tmp_path)
        assert served.returncode == 0, served.stdout + served.stderr
        key = next(line.split()[1] for line in served.stdout.splitlines() if line.strip().startswith("Key "))
        body = {"model": "sim", "messages": [{"role": "user", "content": "hello acme"}]}
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        assert "hello acme" in answer.json()["choices"][0]["message"]["content"]
    finally:
        down = environment.run("fs", "down", *state, cwd=tmp_path)
    assert down.returncode == 0, down.stderr
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)


def build(uv: str, source: Path, folder: Path) -> str:
    """The wheel's path."""
    out = folder / f"wheel-{source.name}"
    call(uv, "build", "--quiet", "--wheel", "--out-dir", str(out), str(source))
    (wheel,) = out.glob("*.whl")
    return str(wheel)


def install(uv: str, environment: Environment, *packages: str) -> None:
    call(uv, "pip", "install", "--quiet", "--python", str(environment.folder), *packages)


def call(*argv: str) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
