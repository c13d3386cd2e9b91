"""The rules as Prometheus' own tool reads them and tries them."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from finsight_serve.domain import Alert
from finsight_serve.observability.prometheus import ALERT_RULES, CONFIG, RECORDING_RULES

from .cases import CASES, Case


def run(promtool: str, *argv: str, cwd: Path) -> str:
    done = subprocess.run([promtool, *argv], cwd=cwd, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_files_are_valid(promtool: str, rules: Path) -> None:
    run(promtool, "check", "config", CONFIG, cwd=rules)
    for name in (RECORDING_RULES, ALERT_RULES):
        assert "SUCCESS" in run(promtool, "check", "rules", "--lint=all", "--lint-fatal", name, cwd=rules)


def test_each_alert_is_tried_both_ways(every_alert: tuple[Alert, ...]) -> None:
    names = [alert.name for alert in every_alert]
    assert len(set(names)) == len(names)
    for fires in (True, False):
        assert {case.alert for case in CASES if (case.fires is not None) == fires} == set(names)


def unit(case: Case, alert: Alert) -> Mapping[str, Any]:
    """One of promtool's tests."""
    expected = []
    if case.fires is not None:
        labels = {name: value for name, value in case.fires.items() if name != "summary"}
        annotations = {
            "summary": case.fires["summary"],
            "description": alert.description,
            "runbook_url": f"runbooks/finsight_failure_runbook.md#{alert.runbook}",
        }
        expected = [{"exp_labels": {**labels, "severity": alert.severity}, "exp_annotations": annotations}]
    return {
        "name": case.what,
        "interval": case.interval,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
    }


@pytest.mark.parametrize("name", dict.fromkeys(case.alert for case in CASES))
def test_an_alert_fires_when_it_should(
    promtool: str, rules: Path, tmp_path: Path, every_alert: tuple[Alert, ...], name: str
) -> None:
    alert = next(one for one in every_alert if one.name == name)
    cases = [case for case in CASES if case.alert == name]
    document = {
        "rule_files": [str(rules / RECORDING_RULES), str(rules / ALERT_RULES)],
        "evaluation_interval": cases[0].interval,
        "group_eval_order": ["finsight-recording", "finsight-alerts"],
        "tests": [unit(case, alert) for case in cases],
    }
    (tmp_path / "test.yml").write_text(json.dumps(document))  # JSON is YAML
    run(promtool, "test", "rules", "test.yml", cwd=tmp_path)
