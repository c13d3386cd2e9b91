"""Two plugins, one of them inside the cluster, agree on which cluster it is without asking it."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from finsight_serve_k8s_keda.cluster_id import cluster_id
from finsight_serve_k8s_keda.options import Access

AUTHORITY = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(AUTHORITY).decode()


@pytest.fixture(autouse=True)
def _nobodys_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def _write(file: Path, **clusters: dict[str, Any]) -> Path:
    """A context of the same name for each cluster; the first is the current one."""
    body = {
        "current-context": next(iter(clusters), ""),
        "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in clusters],
        "clusters": [{"name": name, "cluster": cluster} for name, cluster in clusters.items()],
    }
    with file.open("w") as target:
        YAML(typ="safe").dump(body, target)
    return file


def _id(file: Path, context: str | None = None) -> str:
    return cluster_id(Access(kubeconfig=file, context=context), {}, Path("/nonexistent"))


def test_a_cluster_is_its_authority_however_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(AUTHORITY)
    file = _write(
        tmp_path / "config",
        outside={"server": "https://api.example.com", "certificate-authority-data": DATA},
        tunnel={"server": "https://127.0.0.1:6443", "certificate-authority": "ca.crt"},
        other={"server": "https://api.example.com"},
    )
    inside = cluster_id(Access(), {}, tmp_path / "ca.crt")
    assert re.fullmatch("[0-9a-f]{12}", inside)
    assert _id(file) == _id(file, "outside") == _id(file, "tunnel") == inside
    assert _id(file, "other") not in ("", inside)


def test_several_files_are_read_as_kubectl_does(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", a={"server": "https://a"})
    two = _write(tmp_path / "two", a={"server": "https://never"}, b={"server": "https://b"})
    environ = {"KUBECONFIG": f"{one}:{tmp_path / 'absent'}:{two}"}
    assert cluster_id(Access(), environ, Path("/nonexistent")) == _id(one, "a")
    assert cluster_id(Access(context="b"), environ, Path("/nonexistent")) == _id(two, "b")


@pytest.mark.parametrize("text", ["", "- 1", "{", "current-context: x", "{current-context: x, contexts: 3}"])
def test_what_cannot_be_read_has_no_identity(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    assert _id(tmp_path / "config") == ""
    assert _id(tmp_path / "absent") == ""
    assert cluster_id(Access(), {}, tmp_path / "absent") == ""
