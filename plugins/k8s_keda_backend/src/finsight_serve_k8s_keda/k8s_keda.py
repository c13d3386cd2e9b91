"""The orchestrator as the core sees it: check, compile; people apply what it renders."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import ClassVar

from pydantic import BaseModel

from finsight_serve.capabilities import ControllerHost
from finsight_serve.env import Env
from finsight_serve.plugin import Artefact, DeploymentSpec, Feature, Grade, Observed, Plan, Problem

from .adoption import adopt, adoptable
from .cluster_id import cluster_id
from .convergence import Difference, converge, each, evict, is_asked_anew, refuse_rivals
from .cron_windows import cron_windows, what_cron_cannot_say
from .engine_archive import EngineArchives
from .export import FORMS, export
from .fidelity import grade
from .kinds import APPLIED, Json, artefact_name, is_secret
from .kube_api import connect
from .manifests import EVICTION, eviction, manifests
from .names import REPLICAS
from .observing import observing
from .options import Options as KedaOptions
from .readiness import closed_metrics, kinds, problems, rights
from .signal import check_signal

DAY_S = 86400.0


class K8sKeda:
    name: ClassVar[str] = "k8s-keda"
    Options: ClassVar[type[BaseModel]] = KedaOptions
    lacks: ClassVar[Mapping[Feature, str]] = {}
    forms: ClassVar[Mapping[str, str]] = FORMS
    on_this_machine = False

    def __init__(self, options: KedaOptions, env: Env) -> None:
        self._options = options
        self._env = env
        self._archives = EngineArchives()
        self._cluster = cluster_id(options)
        self._evicted: tuple[Artefact, ...] = ()  # what the last applied plan evicted

    def check(self) -> Sequence[Problem]:
        found = problems(self._options, kinds(self._options), rights(self._options))
        return (*found, *closed_metrics(self._options))

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        """Of the clock only the day counts, and only where a schedule is exported: its report names holidays to come.

        Raises `ApplyError`.
        """
        artefacts: list[Artefact] = []
        fidelity: dict[tuple[str, str], Grade] = {}
        for spec in sorted(want, key=lambda spec: spec.name):
            windows = cron_windows(spec.policy)
            unsaid = tuple(what_cron_cannot_say(spec.policy, self._today_s())) if spec.policy.schedule else ()
            archive = self._archives.of(spec.launch)
            bodies = (*manifests(spec, windows, archive, self._env.owner, self._options), *self._evictions(spec))
            artefacts += [Artefact(artefact_name(body), body, is_secret(body)) for body in bodies]
            grades = grade(spec.policy, windows, unsaid, self._options)
            fidelity |= {(spec.name, field): found for field, found in grades.items()}
        return Plan(tuple(artefacts), fidelity)

    def export(self, plan: Plan, form: str, controller: ControllerHost | None) -> Mapping[str, str]:
        """Raises `ApplyError` for what can't be exported."""
        return export(plan, form, controller, self._options)

    async def apply(self, plan: Plan) -> None:
        bodies, evictions = _parted(plan)

        async def check(differences: Sequence[Difference]) -> None:
            asked = [difference.body for difference in differences if is_asked_anew(difference)]
            await check_signal(asked, api, self._env.http, self._options, self._env.progress)

        async with connect(self._options) as api:
            await refuse_rivals(api, bodies)
            await converge(api, bodies, APPLIED, self._env.owner, REPLICAS, check)
            await each(lambda eviction: evict(api, eviction.body["metadata"]["name"]), evictions)
        self._evicted = evictions

    async def adoptable(self, plan: Plan) -> Mapping[str, str]:
        async with connect(self._options) as api:
            return await adoptable(api, _parted(plan)[0], self._env.owner)

    async def adopt(self, plan: Plan) -> None:
        async with connect(self._options) as api:
            await adopt(api, _parted(plan)[0], self._env.owner)

    async def observe(self) -> AsyncIterator[Observed]:
        """Raises `ApplyError` where the API server can't be asked, or no longer."""
        async with connect(self._options) as api:
            snapshots = observing(
                api, self._env.owner, self._cluster, self._options.port, lambda: self._evicted, self._env.clock
            )
            async with aclosing(snapshots) as found:  # type: ignore[type-var]
                async for seen in found:
                    yield seen

    def _evictions(self, spec: DeploymentSpec) -> Iterator[Json]:
        yield from (eviction(pod, self._options) for pod in sorted(spec.evict))

    def _today_s(self) -> float:
        return self._env.clock.now() // DAY_S * DAY_S


def _parted(plan: Plan) -> tuple[list[Json], tuple[Artefact, ...]]:
    """The objects, and the replicas that must go."""
    evictions = tuple(artefact for artefact in plan.artefacts if artefact.body["kind"] == EVICTION)
    return [artefact.body for artefact in plan.artefacts if artefact not in evictions], evictions
