from pathlib import Path

import pytest

from finsight_serve.env import Env
from finsight_serve.processes import SystemClock, SystemProcesses
from finsight_serve_vllm.options import Options
from finsight_serve_vllm.vllm_engine import VllmEngine


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Env:
    import httpx

    folder = tmp_path_factory.mktemp("engine")
    return Env("test", folder, SystemClock(), SystemProcesses(), httpx.AsyncClient, lambda line: None)


@pytest.fixture(scope="module")
def vllm(env: Env) -> VllmEngine:
    """The engine with the wheel's model ready; the tests that need it are skipped where vLLM can't run."""
    engine = VllmEngine(Options(), env)
    problems = [*engine.check(), *engine.check_model("smollm2")]
    if problems:
        pytest.skip("; ".join(problem.message for problem in problems))
    engine.prepare("smollm2")
    return engine


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "finsight-serve"
