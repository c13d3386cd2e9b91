"""A first start that comes to nothing: the reason in a line, exit code 1, nothing left; and one that is taken up."""

import json
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from finsight_serve.testing.real_env import make_env

from .processes import kill
from .stand import Stand
from .waiting import wait_until

GIVEN_UP_S = 300.0
PREPARED_S = 300.0
BROKEN = "tensor layer.7 is missing"

needs_ray = pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed")
needs_vllm = pytest.mark.skipif(not find_spec("vllm"), reason="vllm is not installed")


def assert_given_up(stand: Stand, reason: str) -> None:
    serving = stand.start()
    assert serving.wait_ended(GIVEN_UP_S) == 1, serving.output
    (line,) = [line for line in serving.output.splitlines() if line.startswith("fs: ")]
    assert line.startswith("fs: deployment chat does not start: ") and reason in line, serving.output
    stand.assert_nothing_runs()


@needs_ray
def test_an_engine_that_dies_while_loading_on_ray(stand: Stand) -> None:
    stand.write(backend="ray", engine_options={"fail_load": BROKEN})
    assert_given_up(stand, BROKEN)


@pytest.mark.long
@needs_vllm
def test_a_vllm_that_dies_while_loading(stand: Stand) -> None:
    """All that is looked at beforehand is in order; only vLLM finds out that the weights are another model's."""
    model = copy_model(stand.folder / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": config["num_hidden_layers"] + 1}))
    stand.write(deployments=[deployment(str(model))])
    assert_given_up(stand, "Engine core initialization failed")
    assert "model.layers.30" in stand.fs("logs", "chat", "--lines", "1000").stdout


@needs_vllm
@pytest.mark.long
def test_weights_that_are_cut_short_are_found_before_anything_starts(stand: Stand) -> None:
    weights = copy_model(stand.folder / "model") / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(1_000_000)
    stand.write(deployments=[deployment(str(weights.parent))])
    done = stand.fs("serve")
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert f"{weights} is cut short" in line and line.startswith(f"fs: {stand.file}:")
    stand.assert_nothing_runs()


@pytest.mark.long
@needs_vllm
def test_a_killed_preparation_is_redone_by_the_next_serve(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    models = stand.folder / "cache/finsight-serve/models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(stand.folder / "cache"))
    stand.write(deployments=[deployment("smollm2")])
    first = stand.start()
    wait_until(lambda: "dequantising the weights" in first.output, PREPARED_S, "the model is being prepared")
    kill(stand.family.members())
    first.wait_ended()
    assert [folder.name[0] for folder in folders(models)] == ["."]  # half a model, hidden

    second = stand.start()
    wait_until(lambda: "replica_starting" in second.output, PREPARED_S, "the model is loaded")
    (model,) = folders(models)
    assert (model / "model.safetensors").stat().st_size > 250_000_000
    second.process.send_signal(signal.SIGINT)
    assert second.wait_ended() == 0, second.output
    stand.assert_nothing_runs()


def deployment(model: str) -> dict[str, object]:
    bounds = {"min_replicas": 1, "max_replicas": 1}
    options = {"max_model_len": 512}
    return {"name": "chat", "model": model, "engine": "vllm", "engine_options": options, "policy": bounds}


def copy_model(folder: Path) -> Path:
    from finsight_serve_vllm.options import Options
    from finsight_serve_vllm.vllm_engine import VllmEngine
    from finsight_serve_vllm.wheel_model import find_wheel_model

    VllmEngine(Options(), make_env(folder.parent / "engine")).prepare("smollm2")
    whole = find_wheel_model()
    assert whole is not None
    return Path(shutil.copytree(whole.checkpoint, folder))


def folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()]
