"""Options against vLLM's own parser, and the wheel's model through the real converter."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError
from finsight_serve_vllm import option_check
from finsight_serve_vllm.conversion import convert
from finsight_serve_vllm.model_cache import is_whole
from finsight_serve_vllm.options import Options
from finsight_serve_vllm.vllm_engine import VllmEngine

PREPARE = """
from finsight_serve.env import Env
from finsight_serve_vllm.options import Options
from finsight_serve_vllm.vllm_engine import VllmEngine
env = Env("test", None, None, None, None, lambda line: print(line, flush=True))
VllmEngine(Options(), env).prepare("smollm2")
"""

HOSTED = """
import asyncio, logging.handlers, sys
handler = logging.handlers.MemoryHandler(1, target=logging.NullHandler())
from finsight_serve_vllm.app import factory
try:
    asyncio.run(factory(["--model", "/nowhere/at/all"]))
except Exception:
    print("vllm" in sys.modules, handler.target is not None)
"""


@pytest.mark.usefixtures("vllm")
def test_a_host_keeps_its_own_logging() -> None:
    """Ray Serve asks its handler for a file when a lost head is back; a replica that has none is ended."""
    done = subprocess.run([sys.executable, "-c", HOSTED], capture_output=True, text=True, timeout=180)
    assert done.stdout.splitlines()[-1] == "True True", done.stdout + done.stderr


@pytest.mark.usefixtures("vllm", "cache")
def test_each_bad_option_is_one_problem_at_its_name(env: Env) -> None:
    options = {"max_modl_len": 1, "max-num-seqs": "many", "dtype": "float7", "seed": 3, "enforce_eager": True}
    problems = VllmEngine(Options.model_validate(options), env).check_model("smollm2")
    assert sorted(problem.field for problem in problems) == ["dtype", "max-num-seqs", "max_modl_len"]
    found = {problem.field: problem.message for problem in problems}
    assert "did you mean max_model_len?" in found["max_modl_len"]
    assert "'many'" in found["max-num-seqs"]
    assert "bfloat16" in found["dtype"]


@pytest.mark.usefixtures("vllm", "cache")
def test_what_vllm_took_once_is_not_asked_again(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = VllmEngine(Options.model_validate({"max_model_len": 512, "async_scheduling": False}), env)
    assert engine.check_model("smollm2") == ()

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(option_check.subprocess, "run", refuse)
    assert engine.check_model("smollm2") == ()


@pytest.mark.long
@pytest.mark.usefixtures("vllm")
def test_a_killed_preparation_is_redone_and_ends_whole(cache: Path) -> None:
    argv = [sys.executable, "-c", PREPARE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as first:
        assert first.stdout is not None
        assert "loading libraries" in first.stdout.readline()
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert [path.name[0] for path in (cache / "models").iterdir() if path.is_dir()] == ["."]  # half a folder, hidden
    again = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "checking it (95 %)" in again.stdout
    (folder,) = [path for path in (cache / "models").iterdir() if path.is_dir()]
    assert is_whole(folder)
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert (folder / "model.safetensors").stat().st_size > 250_000_000
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.usefixtures("vllm")
def test_a_broken_model_file_is_one_sentence(tmp_path: Path) -> None:
    gguf = tmp_path / "broken.gguf"
    gguf.write_bytes(b"not a model")
    with pytest.raises(ApplyError, match=r"^broken\.gguf could not be converted: .+") as caught:
        convert(gguf, tmp_path / "out", lambda line: None)
    assert "\n" not in str(caught.value)
