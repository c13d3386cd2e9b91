"""What KEDA is told, checked against its own schema, and the grades that go with it."""

import copy
import re
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from finsight_serve.domain import AutoscalingPolicy, market_hours
from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch, Plan
from finsight_serve.testing import make_env
from finsight_serve.testing.policies import policies
from finsight_serve_k8s_keda.k8s_keda import K8sKeda
from finsight_serve_k8s_keda.options import Options

sys.path.insert(0, str(Path(__file__).parent))
from crd import check_scaled_object

SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
LAUNCH = Launch(("serve",), "engine:build", env={"HUB_TOKEN": "secret"}, signals=SIGNALS, image="engine:1")
DEFAULT = AutoscalingPolicy(max_replicas=4, smoothing_factor=0.5)
MARKET_HOURS = AutoscalingPolicy(min_replicas=2, max_replicas=4)
PODS = '{namespace="default",pod=~"chat-[0-9a-z]+-[0-9a-z]+"}'
TOTAL = f"sum(vllm:num_requests_running{PODS}) + sum(vllm:num_requests_waiting{PODS})"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def compile_(folder: Path, policy: AutoscalingPolicy, launch: Launch = LAUNCH, **options: Any) -> Plan:
    return K8sKeda(Options(**options), make_env(folder, "me")).compile((DeploymentSpec("chat", launch, policy),))


def body(folder: Path, policy: AutoscalingPolicy, **options: Any) -> Any:
    return scaled(compile_(folder, policy, **options))


def scaled(plan: Plan) -> Any:
    (found,) = (artefact.body for artefact in plan.artefacts if artefact.name == "ScaledObject/chat")
    return found


def verdicts(plan: Plan) -> dict[str, str]:
    return {field: grade.verdict for (_, field), grade in plan.fidelity.items()}


@pytest.mark.parametrize("policy", [DEFAULT, MARKET_HOURS])
@pytest.mark.parametrize("tolerance", [False, True])
def test_the_record_s_policies_are_what_keda_takes(folder: Path, policy: AutoscalingPolicy, tolerance: bool) -> None:
    check_scaled_object(body(folder, policy, hpa_tolerance=tolerance))


@pytest.mark.parametrize(
    "path", ["spec", "spec.fallback", "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp"]
)
def test_the_schema_refuses_what_keda_does_not_know(folder: Path, path: str) -> None:
    wrong = copy.deepcopy(body(folder, DEFAULT))
    place = wrong
    for key in path.split("."):
        place = place[key]
    place["noSuchField"] = 1
    with pytest.raises(jsonschema.ValidationError, match="noSuchField"):
        check_scaled_object(wrong)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(policy=policies)
def test_every_policy_is_what_keda_takes_and_no_field_is_dropped(folder: Path, policy: AutoscalingPolicy) -> None:
    plan = compile_(folder, policy)
    check_scaled_object(scaled(plan))
    spec = scaled(plan)["spec"]
    names = [trigger["name"] for trigger in spec["triggers"]]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in names)
    told = [field for field in verdicts(plan)]
    assert told == [f.name for f in fields(policy) if f.name != "slo" and (f.name != "schedule" or policy.schedule)]
    assert all(grade.note for grade in plan.fidelity.values())
    modifiers = spec["advanced"].get("scalingModifiers")
    if modifiers:
        used = set(re.findall(r"[a-z_][a-z0-9_]*", modifiers["formula"])) - {"min", "max"}
        assert used == set(names), "a formula takes the place of every trigger that it does not name"
        assert modifiers["target"].isdecimal()


def test_the_record_s_default(folder: Path) -> None:
    spec = body(folder, DEFAULT)["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 4)
    assert spec["fallback"] == {"behavior": "currentReplicas", "failureThreshold": 3, "replicas": 1}
    assert "cooldownPeriod" not in spec and "pollingInterval" not in spec, "KEDA warns of both where there is a floor"
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert {way: rules["stabilizationWindowSeconds"] for way, rules in behavior.items()} == {
        "scaleUp": 30,
        "scaleDown": 300,
    }
    assert all(rules["policies"] == [{"type": "Pods", "value": 4, "periodSeconds": 15}] for rules in behavior.values())
    assert spec["advanced"]["scalingModifiers"]["target"] == "10"
    queue, replicas = spec["triggers"]
    assert queue["metricType"] == replicas["metricType"] == "AverageValue"
    assert queue["metadata"]["ignoreNullValues"] == replicas["metadata"]["ignoreNullValues"] == "false"
    assert queue["metadata"]["query"] == f"avg_over_time(({TOTAL})[30s:15s])"
    assert replicas["metadata"]["query"].startswith("sum(kube_deployment_status_replicas_ready{")


def test_the_whole_way_is_one_trigger(folder: Path) -> None:
    spec = body(folder, MARKET_HOURS)["spec"]
    assert [trigger["name"] for trigger in spec["triggers"]] == ["queue"]
    assert spec["triggers"][0]["metadata"]["threshold"] == "10"
    assert "scalingModifiers" not in spec["advanced"]


def test_a_short_look_back_is_the_last_sample(folder: Path) -> None:
    policy = replace(MARKET_HOURS, look_back_period_s=15)
    assert body(folder, policy)["spec"]["triggers"][0]["metadata"]["query"] == TOTAL
    half = body(folder, replace(policy, look_back_period_s=2.5), scrape_interval_s=1)
    assert half["spec"]["triggers"][0]["metadata"]["query"] == f"avg_over_time(({TOTAL})[2500ms:1s])"


def test_scale_to_zero(folder: Path) -> None:
    """Without an engine the load balancer is asked, and KEDA must not take the last one away when it is blind."""
    spec = body(folder, replace(MARKET_HOURS, min_replicas=0, downscale_delay_s=90.5), scrape_interval_s=5)["spec"]
    assert (spec["minReplicaCount"], spec["cooldownPeriod"], spec["initialCooldownPeriod"]) == (0, 91, 91)
    assert spec["pollingInterval"] == 5
    assert spec["fallback"]["replicas"] == 1
    assert "finsight_refused_requests_total" in spec["triggers"][0]["metadata"]["query"]


@pytest.mark.parametrize(
    ("lost", "fallback"), [("floor", ("static", 2)), (3, ("static", 3)), ("hold", ("currentReplicas", 2))]
)
def test_signal_loss(folder: Path, lost: Any, fallback: tuple[str, int]) -> None:
    found = body(folder, replace(MARKET_HOURS, on_signal_loss=lost))["spec"]["fallback"]
    assert (found["behavior"], found["replicas"]) == fallback


def test_delays_beyond_an_hpa_s_reach_are_cut_and_said(folder: Path) -> None:
    policy = replace(MARKET_HOURS, downscale_delay_s=7200)
    plan = compile_(folder, policy)
    behavior = scaled(plan)["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 3600
    assert "7200 s is longer than an HPA can wait" in plan.fidelity["chat", "downscale_delay_s"].note


def test_grades_follow_the_server(folder: Path) -> None:
    old, new = (verdicts(compile_(folder, DEFAULT, hpa_tolerance=tolerance)) for tolerance in (False, True))
    assert old["target_ongoing_requests"] == old["smoothing_factor"] == "approximate"
    assert new == {
        "min_replicas": "exact",
        "max_replicas": "exact",
        "target_ongoing_requests": "exact",
        "upscale_delay_s": "approximate",
        "downscale_delay_s": "approximate",
        "smoothing_factor": "exact",
        "upscaling_factor": "exact",
        "downscaling_factor": "exact",
        "look_back_period_s": "approximate",
        "initial_replicas": "exact",
        "on_signal_loss": "exact",
    }


@pytest.mark.parametrize(
    ("changed", "field", "verdict"),
    [
        ({"min_replicas": 0}, "min_replicas", "approximate"),
        ({"initial_replicas": 3}, "initial_replicas", "impossible"),
        ({"on_signal_loss": "floor"}, "on_signal_loss", "approximate"),
        ({"target_ongoing_requests": 1 / 3}, "target_ongoing_requests", "approximate"),
        ({"target_ongoing_requests": 1.001}, "target_ongoing_requests", "exact"),
        ({"target_ongoing_requests": 4.35}, "target_ongoing_requests", "exact"),
    ],
)
def test_grades_follow_the_numbers(folder: Path, changed: dict[str, Any], field: str, verdict: str) -> None:
    assert verdicts(compile_(folder, replace(DEFAULT, **changed), hpa_tolerance=True))[field] == verdict


def test_an_export_carries_cron_and_says_what_cron_cannot(folder: Path) -> None:
    window = market_hours("XNYS", start="09:00", end="16:00", timezone="America/New_York", policy=MARKET_HOURS)
    plan = compile_(folder, replace(DEFAULT, schedule=(window,)))
    check_scaled_object(scaled(plan))
    *_, cron = scaled(plan)["spec"]["triggers"]
    assert cron == {
        "name": "window_0_market_hours",
        "type": "cron",
        "metricType": "AverageValue",
        "metadata": {
            "timezone": "America/New_York",
            "start": "0 9 * * 1-5",
            "end": "0 16 * * 1-5",
            "desiredReplicas": "2",
        },
    }
    grade = plan.fidelity["chat", "schedule"]
    assert grade.verdict == "approximate"
    assert "Thanksgiving" in grade.note and "early close at 13:00" in grade.note
    assert "only the floor holds, not smoothing_factor 1" in grade.note


@pytest.mark.parametrize(
    ("launch", "name", "message"),
    [
        (replace(LAUNCH, signals={}), "chat", "names no metric for running and waiting requests"),
        (replace(LAUNCH, signals={"running": "r"}), "chat", "names no metric for waiting requests"),
        (LAUNCH, "c" * 55, "a name may have 54 characters"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(folder: Path, launch: Launch, name: str, message: str) -> None:
    plugin = K8sKeda(Options(), make_env(folder))
    with pytest.raises(ApplyError, match=message) as refused:
        plugin.compile((DeploymentSpec(name, launch, DEFAULT),))
    assert len(str(refused.value).splitlines()) == 1
