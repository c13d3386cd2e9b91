"""Compile is pure, its shape is Serve's, and its grades are true."""

import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings

from finsight_serve.domain import AutoscalingPolicy, WeeklyHours, Window
from finsight_serve.plugin import KEY_HASHES_ENV, DeploymentSpec, Launch, Plan
from finsight_serve.testing import make_env
from finsight_serve.testing.policies import meaning, policies
from finsight_serve_ray.application import join
from finsight_serve_ray.options import Options
from finsight_serve_ray.ray_serve import RayServe

LAUNCH = Launch(
    argv=("serve",),
    asgi="engine:build",
    asgi_argv=("--model", "m"),
    env={KEY_HASHES_ENV: "ab12"},
    num_cpus=2,
    num_gpus=1,
)
FIELDS = [field.name for field in fields(AutoscalingPolicy) if field.name not in ("slo", "schedule")]

quick = settings(max_examples=25, deadline=None, database=None)


def compile_(tmp_path: Path, *specs: DeploymentSpec, **options: Any) -> Plan:
    return RayServe(Options(**options), make_env(tmp_path, "me")).compile(specs)


def body(tmp_path: Path, spec: DeploymentSpec, **options: Any) -> Any:
    (application,) = join(compile_(tmp_path, spec, **options).artefacts)
    return application


def test_an_application_is_what_serve_takes(tmp_path: Path) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    application = body(tmp_path, DeploymentSpec("chat", LAUNCH, AutoscalingPolicy(max_replicas=4)))
    accepted = schema.ServeApplicationSchema.model_validate(application)
    assert accepted.model_dump(exclude_unset=True, mode="json") == application, "it comes back as it was put"
    assert application["name"] == "chat-me" and application["route_prefix"] == "/chat-me"
    (deployment,) = application["deployments"]
    assert deployment["ray_actor_options"] == {"num_cpus": 2.0, "num_gpus": 1.0}


def test_the_environment_is_a_secret_artefact_and_in_no_other(tmp_path: Path) -> None:
    plan = compile_(tmp_path, DeploymentSpec("chat", LAUNCH, AutoscalingPolicy()))
    assert {artefact.name: artefact.secret for artefact in plan.artefacts} == {
        "cluster": False,
        "application/chat": False,
        "environment/chat": True,
    }
    assert "ab12" not in json.dumps([artefact.body for artefact in plan.artefacts if not artefact.secret])
    assert body(tmp_path, DeploymentSpec("chat", LAUNCH, AutoscalingPolicy()))["runtime_env"]["env_vars"][
        KEY_HASHES_ENV
    ] == ("ab12")


def test_the_order_of_deployments_does_not_matter_and_nothing_is_written(tmp_path: Path) -> None:
    chat, code = (DeploymentSpec(name, LAUNCH, AutoscalingPolicy()) for name in ("chat", "code"))
    assert compile_(tmp_path, chat, code) == compile_(tmp_path, code, chat)
    assert not list(tmp_path.iterdir())


def test_nothing_wanted_is_an_empty_plan(tmp_path: Path) -> None:
    assert compile_(tmp_path) == Plan(())


def test_somebody_elses_cluster_is_no_artefact(tmp_path: Path) -> None:
    plan = compile_(tmp_path, DeploymentSpec("chat", LAUNCH, AutoscalingPolicy()), address="10.0.0.1:8265")
    assert [artefact.name for artefact in plan.artefacts] == ["application/chat", "environment/chat"]


@quick
@given(before=policies, after=policies)
def test_a_policy_change_touches_only_numbers_that_keep_replicas(
    tmp_path_factory: pytest.TempPathFactory, before: AutoscalingPolicy, after: AutoscalingPolicy
) -> None:
    one, other = (
        body(tmp_path_factory.getbasetemp(), DeploymentSpec("chat", LAUNCH, policy)) for policy in (before, after)
    )
    (deployment_one,), (deployment_other,) = one.pop("deployments"), other.pop("deployments")
    assert one == other, "args and runtime_env replace every replica"
    changed = {key for key in deployment_one if deployment_one[key] != deployment_other[key]}
    assert changed <= {"autoscaling_config", "max_ongoing_requests"}
    assert deployment_one["autoscaling_config"].keys() == deployment_other["autoscaling_config"].keys()


def test_a_fixed_count_is_autoscaling_too(tmp_path: Path) -> None:
    (deployment,) = body(tmp_path, DeploymentSpec("chat", LAUNCH, AutoscalingPolicy(min_replicas=2, max_replicas=2)))[
        "deployments"
    ]
    assert "num_replicas" not in deployment and deployment["autoscaling_config"]["min_replicas"] == 2


def test_evicting_changes_user_config_only(tmp_path: Path) -> None:
    spec = DeploymentSpec("chat", LAUNCH, AutoscalingPolicy())
    kept, evicting = (body(tmp_path, s) for s in (spec, replace(spec, evict=frozenset({"b", "a"}))))
    (before,), (after,) = kept.pop("deployments"), evicting.pop("deployments")
    assert kept == evicting
    assert {key for key in before if before[key] != after[key]} == {"user_config"}
    assert after["user_config"] == {"evict": ["a", "b"]}


@pytest.mark.parametrize(("target", "bound"), [(1.0, 256), (10.0, 256), (32.5, 260), (100.0, 800)])
def test_max_ongoing_requests_never_caps_scaling_up(tmp_path: Path, target: float, bound: int) -> None:
    spec = DeploymentSpec("chat", LAUNCH, AutoscalingPolicy(target_ongoing_requests=target))
    assert body(tmp_path, spec)["deployments"][0]["max_ongoing_requests"] == bound
    assert body(tmp_path, spec, max_ongoing_requests=9)["deployments"][0]["max_ongoing_requests"] == 9


@quick
@given(policy=policies)
def test_every_field_has_a_grade_and_a_reason_where_it_is_not_exact(
    tmp_path_factory: pytest.TempPathFactory, policy: AutoscalingPolicy
) -> None:
    plan = compile_(tmp_path_factory.getbasetemp(), DeploymentSpec("chat", LAUNCH, policy))
    graded = [*FIELDS, "schedule"] if policy.schedule else FIELDS
    assert plan.fidelity.keys() == {("chat", field) for field in graded}
    assert all(grade.verdict == "exact" or grade.note for grade in plan.fidelity.values())
    assert (plan.fidelity["chat", "min_replicas"].verdict == "exact") == (policy.min_replicas > 0)
    assert (plan.fidelity["chat", "look_back_period_s"].verdict == "exact") == (policy.look_back_period_s > 10)


@pytest.mark.parametrize(
    ("factors", "up", "down"),
    [
        ({}, 1, 1),
        ({"smoothing_factor": 0.5}, 0.5, 0.5),
        ({"smoothing_factor": 0.5, "upscaling_factor": 2}, 2, 0.5),
        ({"upscaling_factor": 2, "downscaling_factor": 0.1}, 2, 0.1),
    ],
)
def test_factors_are_those_of_their_direction(
    tmp_path: Path, factors: dict[str, float], up: float, down: float
) -> None:
    (deployment,) = body(tmp_path, DeploymentSpec("chat", LAUNCH, AutoscalingPolicy(**factors)))["deployments"]
    told = deployment["autoscaling_config"]
    assert (told["upscaling_factor"], told["downscaling_factor"]) == (up, down)


def test_what_serve_cannot_do_is_said(tmp_path: Path) -> None:
    window = Window(weekly=WeeklyHours(start="09:00", end="16:00", timezone="UTC"), min_replicas=2)
    policy = AutoscalingPolicy(max_replicas=4, initial_replicas=3, on_signal_loss="floor", schedule=(window,))
    plan = compile_(tmp_path, DeploymentSpec("chat", LAUNCH, policy))
    verdicts = {
        field: plan.fidelity["chat", field].verdict for field in ("initial_replicas", "on_signal_loss", "schedule")
    }
    assert set(verdicts.values()) == {"impossible"}
    assert "numbers outside all windows" in plan.fidelity["chat", "schedule"].note
    (deployment,) = body(tmp_path, DeploymentSpec("chat", LAUNCH, policy))["deployments"]
    assert deployment["autoscaling_config"]["initial_replicas"] is None


def test_serve_would_go_back_to_initial_replicas_at_every_change() -> None:
    """Why they are never told: changing a number, or evicting a replica, would stop replicas under load."""
    state = pytest.importorskip("ray.serve._private.autoscaling_state", reason="Ray is not installed")
    schema = pytest.importorskip("ray.serve.config")
    identity = pytest.importorskip("ray.serve._private.common").DeploymentID("EngineReplica", "chat")

    def register(initial_replicas: int | None) -> int:
        config = schema.AutoscalingConfig(min_replicas=1, max_replicas=8, initial_replicas=initial_replicas)
        known = SimpleNamespace(
            deployment_config=SimpleNamespace(autoscaling_config=config, gang_scheduling_config=None),
            target_capacity=None,
            target_capacity_direction=None,
            config_changed=lambda other: True,
        )
        serve = state.DeploymentAutoscalingState(identity)
        serve.register(known, 5)
        changed: int = serve.register(known, 5)
        return changed

    assert register(None) == 5
    assert register(2) == 2


@pytest.mark.parametrize("field", [*FIELDS, "schedule"])
@quick
@given(before=policies, other=policies)
def test_exact_means_that_an_artefact_changes(
    tmp_path_factory: pytest.TempPathFactory,
    before: AutoscalingPolicy,
    other: AutoscalingPolicy,
    field: str,
) -> None:
    try:
        after = replace(before, **{field: getattr(other, field)})
    except ValueError:
        after = before
    assume(meaning(after) != meaning(before))
    folder = tmp_path_factory.getbasetemp()
    plans = [compile_(folder, DeploymentSpec("chat", LAUNCH, policy)) for policy in (before, after)]
    grades = [plan.fidelity.get(("chat", field)) for plan in plans]
    if all(grade and grade.verdict == "exact" for grade in grades):
        assert plans[0].artefacts != plans[1].artefacts
