"""Orchestrators that break one rule each. The kit must catch every one."""

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel

from finsight_serve.plugin import Artefact, DeploymentSpec, Feature, Grade, Observed, Plan
from finsight_serve_local.backend import LocalOrchestrator

COUNTER = itertools.count()


class Impure(LocalOrchestrator):
    """Its plan differs from call to call."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        plan = super().compile(want)
        return replace(plan, artefacts=(*plan.artefacts, Artefact("count", next(COUNTER))))


class Writes(LocalOrchestrator):
    """compile() leaves a file behind."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        (self._env.state_dir / "plan").write_text("x")
        return super().compile(want)


class Boasts(LocalOrchestrator):
    """Grades exact what it ignores."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        plan = super().compile(want)
        return replace(plan, fidelity={**plan.fidelity, ("echo", "upscale_delay_s"): Grade("exact")})


class Silent(LocalOrchestrator):
    """Leaves a field without a grade."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        plan = super().compile(want)
        return replace(plan, fidelity={key: grade for key, grade in plan.fidelity.items() if "delay" not in key[1]})


class Terse(LocalOrchestrator):
    """Does not say what differs."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        plan = super().compile(want)
        return replace(plan, fidelity={key: Grade(grade.verdict) for key, grade in plan.fidelity.items()})


class Leaks(LocalOrchestrator):
    """Shows the environment to everybody."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        plan = super().compile(want)
        return replace(plan, artefacts=tuple(replace(artefact, secret=False) for artefact in plan.artefacts))


class Unexplained(LocalOrchestrator):
    lacks: ClassVar[Mapping[Feature, str]] = {Feature.EVICT: "no"}


class Anything(BaseModel):
    number: int = 1


class Lenient(LocalOrchestrator):
    """Takes unknown options and documents none."""

    Options: ClassVar[type[BaseModel]] = Anything


class Restarts(LocalOrchestrator):
    """Every apply() begins anew."""

    async def apply(self, plan: Plan) -> None:
        await super().apply(Plan(()))
        await super().apply(plan)


class Forgets(LocalOrchestrator):
    """A second instance sees nothing of the first, and starts its own."""

    def __init__(self, options: Any, env: Any) -> None:
        super().__init__(options, replace(env, state_dir=env.state_dir / str(next(COUNTER))))


class Prunes(LocalOrchestrator):
    """Takes what another owner has started for its own."""

    def __init__(self, options: Any, env: Any) -> None:
        super().__init__(options, replace(env, state_dir=env.state_dir.parent / "shared"))


class Ignores(LocalOrchestrator):
    """Does not evict, and does not say so."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        return super().compile(tuple(replace(spec, evict=frozenset()) for spec in want))


class Unguarded(LocalOrchestrator):
    """Loses the environment on the way."""

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        return super().compile(tuple(replace(spec, launch=replace(spec.launch, env={})) for spec in want))


class Stays(LocalOrchestrator):
    """Reports nothing once it is told to run nothing, but lets it run."""

    async def apply(self, plan: Plan) -> None:
        if plan.artefacts:
            await super().apply(plan)
        else:
            (self._env.state_dir / "down").touch()

    async def observe(self) -> AsyncIterator[Observed]:
        async for seen in super().observe():
            yield Observed() if (self._env.state_dir / "down").exists() else seen
