import base64
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from finsight_serve.plugin import ApplyError, Launch
from finsight_serve_k8s_keda.engine_archive import EngineArchives

sys.path.insert(0, str(Path(__file__).parent))
from rendering import launch, mounts, render

ENGINE = {
    "acme_engine/__init__.py": "",
    "acme_engine/__main__.py": "from .inner import deep\nfrom acme_shared.used import SAID\nprint(SAID, deep.DEPTH)\n",
    "acme_engine/inner/__init__.py": "",
    "acme_engine/inner/deep.py": "import json\nDEPTH = 3\n",
    "acme_engine/beside.py": "import acme_elsewhere\n",
    "acme_shared/__init__.py": "",
    "acme_shared/used.py": "SAID = 'said'\n",
    "acme_shared/unused.py": "1 / 0\n",
    "acme_elsewhere.py": "",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in ENGINE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path


def engine(*packages: str) -> Launch:
    return launch(sys.executable, "-m", "acme_engine", py_modules=packages or ("acme_engine", "acme_shared"))


def names(archive: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(archive)).namelist())


def digest_of(started: Launch) -> str:
    template = render(started)["Deployment"]["spec"]["template"]
    return str(template["metadata"]["annotations"]["finsight-serve/engine-sha256"])


def test_it_holds_the_engines_package_and_what_that_reaches_in_the_others(installed: Path) -> None:
    assert names(EngineArchives().of(engine())) == {
        "acme_engine/__init__.py",
        "acme_engine/__main__.py",
        "acme_engine/inner/__init__.py",
        "acme_engine/inner/deep.py",
        "acme_engine/beside.py",
        "acme_shared/__init__.py",
        "acme_shared/used.py",
    }


def test_python_runs_from_it(installed: Path, tmp_path: Path) -> None:
    archive = tmp_path / "away" / "engine.zip"
    archive.parent.mkdir()
    archive.write_bytes(EngineArchives().of(engine()))
    ran = subprocess.run(
        [sys.executable, "-m", "acme_engine"],
        cwd=archive.parent,
        env={"PYTHONPATH": str(archive)},
        capture_output=True,
        text=True,
    )
    assert (ran.stdout, ran.stderr) == ("said 3\n", "")


def test_it_is_the_same_bytes_however_old_the_files_are(installed: Path) -> None:
    before = EngineArchives().of(engine())
    for file in installed.rglob("*.py"):
        file.touch()
    assert EngineArchives().of(engine()) == before


def test_other_code_replaces_the_replicas_and_unused_code_does_not(installed: Path) -> None:
    before = digest_of(engine())
    (installed / "acme_shared/unused.py").write_text("2 / 0\n")
    assert digest_of(engine()) == before
    (installed / "acme_shared/used.py").write_text("SAID = 'other'\n")
    assert digest_of(engine()) != before


def test_it_is_mounted_as_a_single_file_and_on_pythons_path(installed: Path) -> None:
    found = render(engine())
    held = base64.b64decode(found["ConfigMap"]["binaryData"]["engine.zip"])
    assert found["ConfigMap"]["metadata"]["name"] == "chat-engine"
    assert hashlib.sha256(held).digest() == hashlib.sha256(EngineArchives().of(engine())).digest()
    mount = mounts(engine())["/finsight/engine.zip"]
    assert (mount["configMap"], mount["subPath"]) == ({"name": "chat-engine"}, "engine.zip")
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "PYTHONPATH", "value": "/finsight/engine.zip"} in container["env"]


def test_where_the_image_lacks_nothing_there_is_none() -> None:
    assert EngineArchives().of(launch()) == b""
    found = render(launch())
    assert "ConfigMap" not in found
    assert "annotations" not in found["Deployment"]["spec"]["template"]["metadata"]
    assert "PYTHONPATH" not in str(found)


def test_a_package_that_is_not_here_is_one_line() -> None:
    with pytest.raises(ApplyError, match=r"isn't installed here: .*acme_engine"):
        EngineArchives().of(engine())


def test_what_no_config_map_holds_is_refused(installed: Path) -> None:
    noise = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000)).hex()
    (installed / "acme_engine/beside.py").write_text(f"X = '{noise}'\n")
    with pytest.raises(ApplyError, match="and a ConfigMap holds 700000: put it into the image"):
        EngineArchives().of(engine())


@pytest.mark.parametrize("name", ["finsight_serve_vllm", "finsight_serve_sim"])
def test_of_our_own_engines_it_holds_little_of_the_core(name: str) -> None:
    started = launch(sys.executable, "-m", name, py_modules=("finsight_serve", name, "pluggy"))
    found = EngineArchives().of(started)
    assert {"finsight_serve/replica_guard.py", f"{name}/__main__.py", "pluggy/__init__.py"} <= names(found)
    assert not [path for path in names(found) if path.startswith(("finsight_serve/controller", "finsight_serve/cli"))]
    assert len(found) < 100_000
