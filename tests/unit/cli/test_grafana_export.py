"""`fs plan -o grafana`: what is written, of which plugins, and what can't be."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli.main import cli

from ..foreign import MEMBERS, PLUGIN, Foreign

IMPORTS = """
from finsight_serve.domain import Dashboard
from finsight_serve.domain.dashboard import Panel, Query, Row
PAGE = Dashboard("NAME", "Seen: NAME", (Row("R", (Panel("P", "count", (Query("seen{}"),), "P.", "number"),)),))
"""
SEEN = "\n    dashboards = (PAGE,)\n"
FILE = """
name: shop
load_balancer: seen
{metrics}
deployments:
- {{name: chat, model: m, engine: drawn}}
- {{name: code, model: m, engine: drawn}}
"""
METRICS = 'metrics: {runbooks: "https://wiki", prometheus: "http://prom:9090"}'
OWN = {"overview", "deployments", "tenants"}


@pytest.fixture
def folder(tmp_path: Path, one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The load balancer and the engine that are installed there have a page each."""
    for kind, name in (("load_balancer", "seen"), ("engine", "drawn")):
        source = PLUGIN.format(name=name, kind=kind, members=MEMBERS[kind] + SEEN)  # type: ignore[index]
        one_of_each.install_plugin(kind, name, IMPORTS.replace("NAME", name) + source)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def plan(folder: Path, *argv: str, metrics: str = METRICS) -> Result:
    (folder / "fs.yaml").write_text(FILE.format(metrics=metrics))
    return CliRunner().invoke(cli, ["plan", "-o", "grafana", *argv])


def test_pages_of_the_core_and_of_each_plugin_are_written_once(folder: Path) -> None:
    result = plan(folder, "--to", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "Wrote 7 files into out.\n"
        "note: mount the folder at /etc/grafana/provisioning; Grafana reaches Prometheus at http://prom:9090\n"
    )
    pages = {path.stem.removeprefix("finsight-") for path in (folder / "out").glob("dashboards/*.json")}
    assert pages == OWN | {"seen", "drawn"}
    assert "url: http://prom:9090" in (folder / "out/datasources/finsight.yaml").read_text()
    assert not (folder / "state").exists()


def test_without_a_url_of_the_runbook_no_panel_leads_there(folder: Path) -> None:
    result = plan(folder, "--to", "out", metrics="")
    assert "note: panels have no links to the runbook: metrics.runbooks is no URL\n" in result.stderr
    panels = json.loads((folder / "out/dashboards/finsight-overview.json").read_text())["panels"]
    assert not any(panel.get("links") for panel in panels)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ((), "-o grafana is several files: say where they go with --to DIR"),
        (
            ("--to", "out", "--no-controller"),
            "--no-controller is for exports of deployments; leave it out for -o grafana",
        ),
        (("--to", "out", "--in-cluster", "--image", "i"), "--in-cluster is for exports of deployments"),
    ],
)
def test_what_can_not_be_written_is_a_line(folder: Path, argv: tuple[str, ...], line: str) -> None:
    result = plan(folder, *argv)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"fs: {line}")
    assert not (folder / "out").exists()
