"""`fs plan -o prometheus`: what is written, of which plugins, and what can't be."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finsight_serve.cli.main import cli

from ..foreign import MEMBERS, PLUGIN, Foreign

IMPORTS = "from finsight_serve.domain import Alert, ScrapeJob\n"
SEEN = """
    alerts = (Alert("SeenLost", "seen_up == 0", 0, "warning", "Lost", "It was seen.", "seen-lost"),)
    def scrape_jobs(self):
        target = self.options.address
        return (ScrapeJob("seen", {"static_configs": [{"targets": [target]}]}),) if target else ()
"""
FILE = """
name: shop
load_balancer: {balancer}
{metrics}
deployments:
- {{name: chat, model: m}}
"""
METRICS = 'metrics: {listen: "127.0.0.1:9464", runbooks: "https://wiki"}'


@pytest.fixture
def folder(tmp_path: Path, one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Among what is installed there is a load balancer with metrics of its own, which watches over them."""
    source = PLUGIN.format(name="seen", kind="load_balancer", members=MEMBERS["load_balancer"] + SEEN)
    one_of_each.install_plugin("load_balancer", "seen", IMPORTS + source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def plan(folder: Path, *argv: str, balancer: str = '{plugin: seen, address: "h:7"}', metrics: str = METRICS) -> Result:
    (folder / "fs.yaml").write_text(FILE.format(balancer=balancer, metrics=metrics))
    return CliRunner().invoke(cli, ["plan", "-o", "prometheus", *argv])


def test_what_is_scraped_and_watched_for_is_written_and_nothing_else(folder: Path) -> None:
    result = plan(folder, "--to", "out")
    assert (result.exit_code, result.stderr) == (0, "Wrote 3 files into out.\n")
    config, rules = ((folder / "out" / name).read_text() for name in ("prometheus.yml", "alert_rules.yml"))
    assert "job_name: shop-load_balancer-seen" in config and "h:7" in config
    assert "alert: SeenLost" in rules
    assert "runbook_url: https://wiki/finsight_failure_runbook.md#seen-lost" in rules
    assert not (folder / "state").exists()


def test_who_says_nothing_of_metrics_is_left_alone(folder: Path) -> None:
    result = plan(folder, "--to", "out", balancer="acme")
    assert (result.exit_code, result.stderr) == (0, "Wrote 3 files into out.\n")
    assert "seen" not in (folder / "out" / "prometheus.yml").read_text()


def test_an_edge_and_what_is_behind_it_are_both_asked(folder: Path, one_of_each: Foreign) -> None:
    source = PLUGIN.format(name="plain", kind="load_balancer", members=MEMBERS["load_balancer"])
    one_of_each.install_plugin("load_balancer", "plain", source.replace("Feature.EVICT", "Feature.KEYS"))
    metrics = f'{METRICS}\nedge: {{plugin: seen, address: "h:8"}}'
    assert plan(folder, "--to", "out", balancer="plain", metrics=metrics).exit_code == 0
    assert "h:8" in (folder / "out" / "prometheus.yml").read_text()


def test_a_plugin_that_has_no_place_to_scrape_yet_is_noted(folder: Path) -> None:
    result = plan(folder, "--to", "out", balancer="seen")
    assert "note: load balancer tells of no place to scrape" in result.stderr


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("--to", "out"), "fs.yaml: metrics.listen says nowhere, so Prometheus would find nothing; add, for example, "),
        (("--to", "out", "--no-controller"), "--no-controller is for exports of deployments"),
        (("--to", "out", "--in-cluster", "--image", "i"), "--in-cluster is for exports of deployments"),
    ],
)
def test_what_can_not_be_written_is_a_line(folder: Path, argv: tuple[str, ...], line: str) -> None:
    result = plan(folder, *argv, metrics="")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"fs: {line}")
    assert not (folder / "out").exists()


def test_several_files_need_a_folder(folder: Path) -> None:
    assert plan(folder).stderr == "fs: -o prometheus is several files: say where they go with --to DIR\n"
