"""The RayService is one by KubeRay's own definition, which its Go module carries."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from ...e2e.run_fs import run_fs

EXAMPLES = Path(__file__).parents[3] / "examples"
MODULE = "github.com/ray-project/kuberay/ray-operator@v1.5.1"  # the first that knows `authOptions`
CRD = "config/crd/bases/ray.io_rayservices.yaml"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> object:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is missing, by which KubeRay's definition is fetched")
    folder = tmp_path_factory.mktemp("kuberay")
    env = {**os.environ, "GOMODCACHE": str(folder / "modules"), "GOFLAGS": "-mod=mod -modcacherw"}
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    crd = YAML(typ="safe").load(Path(json.loads(done.stdout)["Dir"]) / CRD)
    (found,) = [one["schema"]["openAPIV3Schema"] for one in crd["spec"]["versions"] if one["name"] == "v1"]
    return found


def closed(schema: object) -> object:
    """As the API server's strict validation has it: no field that is not named."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.parametrize("file", ["compose/vllm.yaml", "quickstart/fs.yaml"])
def test_it_is_a_ray_service(file: str, schema: object, tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    done = run_fs("plan", "-f", str(EXAMPLES / file), "--backend", "ray", "-o", "kuberay", *state, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    body = YAML(typ="safe").load(done.stdout)
    cluster = body["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    jsonschema.Draft7Validator(closed(schema)).validate(body)
    cluster["headGroupSpec"]["rayStartParam"] = {}
    with pytest.raises(jsonschema.ValidationError, match="rayStartParam"):
        jsonschema.Draft7Validator(closed(schema)).validate(body)
