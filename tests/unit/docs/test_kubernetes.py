"""The page's file makes what the page says, without a cluster."""

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from finsight_serve.cli.main import cli

PAGE = Path(__file__).parents[3] / "docs" / "kubernetes.md"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By kind, what the first fs.yaml of the page exports."""
    folder = tmp_path_factory.mktemp("page")
    found = re.search(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert found
    (folder / "fs.yaml").write_text(found[1])
    argv = ["plan", "-f", str(folder / "fs.yaml"), "--state", str(folder / "s"), "-o", "yaml"]
    done = CliRunner().invoke(cli, argv)
    assert done.exit_code == 0, done.output
    return {body["kind"]: body for body in YAML(typ="safe").load_all(done.stdout)}


def test_replicas_have_the_public_image_and_a_gpu_each(exported: dict[str, Any]) -> None:
    pod = exported["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert re.fullmatch(r"vllm/vllm-openai:v\d+\.\d+\.\d+", container["image"])
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1", "memory": "24Gi"}
    assert {volume["hostPath"] for volume in pod["volumes"] if "hostPath" in volume} == set()


def test_the_code_that_comes_along_is_as_small_as_it_says(exported: dict[str, Any]) -> None:
    (archive,) = exported["ConfigMap"]["binaryData"].values()
    assert 30_000 < len(archive) * 3 / 4 < 250_000


def test_its_prometheus_may_reach_replicas_and_watches_them(exported: dict[str, Any]) -> None:
    assert "PodMonitor" in exported
    peers = exported["NetworkPolicy"]["spec"]["ingress"][0]["from"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in peers
