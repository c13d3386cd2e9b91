import subprocess
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML

from finsight_serve.domain import AutoscalingPolicy, market_hours
from finsight_serve.lab.wording import as_yaml, diff, diff_file

FILE = """\
name: x
deployments:
- name: a
  model: m
  policy:
    min_replicas: 1   # the floor
    target_ongoing_requests: 10
    schedule:
    - calendar: {exchange: XNYS}
      min_replicas: 2
- name: b
  model: m
  policy: other:POLICY
"""
POLICY = AutoscalingPolicy(max_replicas=4, schedule=(market_hours("XNYS", min_replicas=2),))


def test_yaml_holds_what_differs_from_the_defaults() -> None:
    assert YAML(typ="safe").load(as_yaml(POLICY)) == {
        "policy": {
            "max_replicas": 4,
            "schedule": [{"name": "market-hours", "calendar": {"exchange": "XNYS"}, "min_replicas": 2}],
        }
    }


def test_a_diff_of_policies() -> None:
    changed = replace(POLICY, target_ongoing_requests=6.5)
    lines = diff(POLICY, changed, "serving.policy:X").splitlines()
    assert lines[:2] == ["--- a/serving.policy:X", "+++ b/serving.policy:X"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["+  target_ongoing_requests: 6.5"]
    assert diff(POLICY, POLICY, "x") == ""


def test_a_diff_of_a_file_touches_the_deployments_own_lines(tmp_path: Path) -> None:
    file = tmp_path / "fs.yaml"
    file.write_text(FILE)
    text = diff_file(file, "a", {"target_ongoing_requests": 6.0, "schedule.0.lead_s": 90.0, "upscale_delay_s": 7.5})
    assert text is not None
    assert sorted(line.strip("+- ") for line in text.splitlines()[2:] if line[0] in "+-") == [
        "lead_s: 90",
        "target_ongoing_requests: 10",
        "target_ongoing_requests: 6",
        "upscale_delay_s: 7.5",
    ]
    assert file.read_text() == FILE


def test_the_diff_of_a_file_applies_to_it_whatever_its_style(tmp_path: Path) -> None:
    (tmp_path / "fs.yaml").write_text(
        "name: x\ndeployments:\n  - name: a\n    policy:   {min_replicas: 1, max_replicas: 4}   # kept\n\n"
        "  - name: b\n    policy:\n      max_replicas: 4 # kept too\n"
    )
    for deployment in ("a", "b"):
        text = diff_file(Path(tmp_path / "fs.yaml"), deployment, {"upscale_delay_s": 7.5, "downscale_delay_s": 90.0})
        assert text is not None
        text = text.replace(str(tmp_path / "fs.yaml"), "fs.yaml")
        subprocess.run(["patch", "-p1"], cwd=tmp_path, input=text + "\n", text=True, check=True)
    assert (tmp_path / "fs.yaml").read_text().count("# kept") == 2
    read = YAML(typ="safe").load((tmp_path / "fs.yaml").read_text())["deployments"]
    delays = {"upscale_delay_s": 7.5, "downscale_delay_s": 90}
    assert read[0]["policy"] == {"min_replicas": 1, "max_replicas": 4, **delays}
    assert read[1]["policy"] == {"max_replicas": 4, **delays}


def test_what_is_written_elsewhere_is_not_changed_here(tmp_path: Path) -> None:
    file = tmp_path / "fs.yaml"
    file.write_text(FILE)
    assert diff_file(file, "b", {"upscale_delay_s": 7.5}) is None
