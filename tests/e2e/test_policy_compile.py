"""`fs policy compile` as people run it: the record's policies on both kinds of backend, and what can go wrong."""

import json
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from finsight_serve.domain import AutoscalingPolicy

from .run_fs import run_fs

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "examples" / "finsight"
KEDA = ("--backend", "k8s-keda")
FIELDS = list(AutoscalingPolicy.__dataclass_fields__)
POLICIES = ("DEFAULT_AUTOSCALING", "MARKET_HOURS_AUTOSCALING")


def fs(*argv: str, cwd: Path = RECORD) -> subprocess.CompletedProcess[str]:
    return run_fs("policy", "compile", *argv, cwd=cwd, env={"TZ": "UTC"})


def of(name: str) -> tuple[str, str]:
    return "--policy", f"serving.autoscaling_policy:{name}"


def answer(*argv: str) -> Any:
    done = fs(*argv, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def check_scaled_object(body: Any) -> None:
    spec = spec_from_file_location("crd", ROOT / "plugins/k8s_keda_backend/tests/crd.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.check_scaled_object(body)


@pytest.mark.parametrize("name", POLICIES)
def test_the_record_s_policies_are_manifests_that_kubernetes_takes(name: str) -> None:
    done = fs(*of(name), *KEDA, "-o", "yaml", "--deployment", "finsight")
    assert (done.returncode, done.stderr) == (0, "")
    comments = done.stdout.partition("\n---\n")[0].splitlines()
    assert all(line.startswith("#") for line in comments)
    assert [line[4:].partition(":")[0] for line in comments[1:]] == FIELDS, "every field stands in the report"
    (manifest,) = [document for document in YAML(typ="safe").load_all(done.stdout) if document]
    check_scaled_object(manifest)
    assert manifest["metadata"]["name"] == "finsight"


@pytest.mark.alike(2)
@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("backend", ["ray", "k8s-keda", "local"])
def test_every_field_stands_with_a_grade_on_every_backend(name: str, backend: str) -> None:
    report = answer(*of(name), "--backend", backend)["fidelity"]
    assert [row["field"] for row in report] == FIELDS
    assert all(row["grade"] == "exact" or row["note"] for row in report)


def test_where_the_numbers_went(tmp_path: Path) -> None:
    places = {(row["field"], row["path"]): row["value"] for row in answer(*of("DEFAULT_AUTOSCALING"), *KEDA)["places"]}
    assert places["max_replicas", "spec.maxReplicaCount"] == 4
    assert places["target_ongoing_requests", "spec.triggers[0].metadata.threshold"] == "10"
    assert "0.5 *" in places["smoothing_factor", "spec.advanced.scalingModifiers.formula"]


def test_the_windows_of_the_moment_hold_and_an_export_keeps_them() -> None:
    night, day = (answer(*KEDA, "--at", at)["policy"] for at in ("2026-09-01T08:59", "2026-09-01T09:00"))
    assert (night["min_replicas"], night["smoothing_factor"]) == (1, 0.5)
    assert (day["min_replicas"], day["smoothing_factor"]) == (2, 1.0)
    exported = answer(*KEDA, "--export", "--at", "2026-09-01")
    (artefact,) = exported["artefacts"]
    check_scaled_object(artefact["body"])
    assert artefact["body"]["spec"]["triggers"][-1]["type"] == "cron"
    (schedule,) = [row for row in exported["fidelity"] if row["field"] == "schedule"]
    assert schedule["grade"] == "approximate" and "2026-11-27 early close at 13:00" in schedule["note"]


def test_the_table_has_both_parts() -> None:
    done = fs(*of("DEFAULT_AUTOSCALING"), *KEDA)
    assert done.returncode == 0
    assert "fidelity\n" in done.stdout and "where the numbers went\n" in done.stdout
    assert all(f"  {field} " in done.stdout for field in FIELDS)


def test_only_what_the_policy_shapes_is_shown() -> None:
    """Not the rest of what would run, and no replica's environment, which may hold a hub's token."""
    report = answer(*of("DEFAULT_AUTOSCALING"), "--backend", "ray")
    assert [artefact["name"] for artefact in report["artefacts"]] == ["application/deployment"]
    report = answer(*of("DEFAULT_AUTOSCALING"), *KEDA)
    assert [artefact["name"] for artefact in report["artefacts"]] == ["ScaledObject/deployment"]


def test_required_fields() -> None:
    tolerant = ("--k8s-keda-hpa-tolerance", "true")
    assert fs(*of("DEFAULT_AUTOSCALING"), *KEDA, *tolerant, "--require-exact", "smoothing_factor").returncode == 0
    required = ("--require-exact", "upscale_delay_s", "--require-exact", "max_replicas")
    done = fs(*of("DEFAULT_AUTOSCALING"), *KEDA, *required, "-o", "yaml")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "upscale_delay_s is approximate" in line and "max_replicas" not in line


@pytest.mark.alike(3)
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--require-exact", "max_replica", *KEDA), "no field max_replica; did you mean max_replicas?"),
        (("--backend", "k8s-kea"), "did you mean k8s-keda?"),
        (("--policy", "serving.autoscaling_policy:DEFAULT_AUTOSCALING"), "say for which backend with --backend"),
        ((*of("DEFAULT_AUTOSCALING"), "--backend", "k8s-kea"), "did you mean k8s-keda?"),
        ((*of("DEFAULT_AUTOSCALIN"), *KEDA), "did you mean DEFAULT_AUTOSCALING?"),
        ((*of("DEFAULT_AUTOSCALING"), *KEDA, "-f", "fs.yaml"), "leave out -f"),
        ((*of("DEFAULT_AUTOSCALING"), *KEDA, "--engine", "vlm"), "did you mean vllm?"),
        ((*of("DEFAULT_AUTOSCALING"), *KEDA, "--ray-address", "x"), "compiled for k8s-keda only"),
        ((*of("DEFAULT_AUTOSCALING"), *KEDA, "--k8s-keda-namespace", "A_B"), "namespace"),
        ((*KEDA, "--engine", "vllm"), "--engine is for --policy"),
        ((*KEDA, "--deployment", "other"), "no deployment is named other"),
        ((*KEDA, "--at", "tomorrow"), "--at: must be a date or time"),
        (("-f", "nowhere.yaml", *KEDA), "no such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(argv: tuple[str, ...], message: str) -> None:
    done = fs(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("fs: ") and message in line
