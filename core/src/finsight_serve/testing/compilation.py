"""What every orchestrator's compile() must fulfil, also of one that only renders what people apply themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from ..domain import AutoscalingPolicy
from ..plugin import ApplyError, DeploymentSpec, Feature, Launch, Orchestrator, Plan, graded_fields
from .echo import echo_launch
from .plugin import ActuatorConformance
from .policies import meaning, policies
from .waiting import snapshot_when

KEY = "a-key-that-only-the-kit-knows"
HUB_TOKEN = "a-token-that-no-plan-may-show"
NAME = "echo"
SIGNALS: Mapping[str, str] = {"running": "echo:requests_running", "waiting": "echo:requests_waiting"}

_quiet = settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,  # of a field that most policies leave alone few pairs differ
    ],
)


class CompilationConformance(ActuatorConformance):
    """Pure, and honest about its fidelity. Part of `OrchestratorConformance` and of `RendererConformance`."""

    @pytest.fixture
    def launch(self) -> Launch:
        """The engine that the checks run; it must do what `echo_launch` does."""
        return replace(echo_launch(KEY, env={"HUB_TOKEN": HUB_TOKEN}), signals=SIGNALS)

    @pytest.fixture
    def wants(self, launch: Launch) -> tuple[tuple[DeploymentSpec, ...], ...]:
        two = (*want(launch, 1), DeploymentSpec("second", launch, AutoscalingPolicy(max_replicas=2)))
        return (), want(launch, 1), want(launch, 2, evict={"gone"}), two

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        return (HUB_TOKEN,)

    @_quiet
    @given(policy=policies)
    def test_every_policy_field_has_a_grade(
        self, compiled: Orchestrator, launch: Launch, policy: AutoscalingPolicy
    ) -> None:
        """The core itself grades `slo`, of which no orchestrator is told, and an empty `schedule`."""
        plan = _compile(compiled, launch, policy)
        for field in graded_fields(policy):
            grade = plan.fidelity[NAME, field]
            assert grade.verdict in ("exact", "approximate", "impossible")
            assert grade.verdict == "exact" or grade.note, f"{field} is {grade.verdict}: say what differs"
        assert {deployment for deployment, _ in plan.fidelity} == {NAME}

    @pytest.mark.parametrize("field", [field.name for field in fields(AutoscalingPolicy) if field.name != "slo"])
    @_quiet
    @given(before=policies, other=policies)
    def test_exact_means_that_an_artefact_changes(
        self, compiled: Orchestrator, launch: Launch, field: str, before: AutoscalingPolicy, other: AutoscalingPolicy
    ) -> None:
        """So that no change of a policy is dropped without a word."""
        try:
            after = replace(before, **{field: getattr(other, field)})
        except ValueError:
            after = before  # not a valid change
        assume(meaning(after) != meaning(before))
        plans = [_compile(compiled, launch, policy) for policy in (before, after)]
        graded = all(field in graded_fields(policy) for policy in (before, after))
        if graded and all(plan.fidelity[NAME, field].verdict == "exact" for plan in plans):
            assert plans[0].artefacts != plans[1].artefacts, f"{field} is graded exact, but changing it changes nothing"


class RendererConformance(CompilationConformance):
    """For an orchestrator that lacks `Feature.APPLY`: it compiles, and says in a line that it does no more."""

    def test_it_says_that_it_lacks_apply(self, plugin: type[Any]) -> None:
        assert Feature.APPLY in plugin.lacks

    @pytest.mark.anyio
    async def test_apply_is_refused_in_one_line(self, compiled: Orchestrator, launch: Launch) -> None:
        with pytest.raises(ApplyError) as refused:
            await compiled.apply(compiled.compile(want(launch, 1)))
        assert len(str(refused.value).splitlines()) == 1

    @pytest.mark.anyio
    async def test_observe_shows_no_replica_or_says_why(self, compiled: Orchestrator) -> None:
        try:
            first = await snapshot_when(compiled, lambda _: True)
        except Exception as reason:
            assert str(reason)
        else:
            assert first.replicas == ()


def want(launch: Launch, replicas: int, evict: Iterable[str] = ()) -> tuple[DeploymentSpec, ...]:
    """One deployment with exactly so many replicas, acted on without delay."""
    exactly = AutoscalingPolicy(
        min_replicas=replicas, max_replicas=replicas, upscale_delay_s=0.0, downscale_delay_s=0.0
    )
    return (DeploymentSpec(NAME, launch, exactly, frozenset(evict)),)


def _compile(compiled: Orchestrator, launch: Launch, policy: AutoscalingPolicy) -> Plan:
    return compiled.compile((DeploymentSpec(NAME, launch, policy),))
