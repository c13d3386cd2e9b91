"""The orchestrator as the core sees it: check, compile; people apply what it renders."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel

from finsight_serve.env import Env
from finsight_serve.plugin import ApplyError, Artefact, DeploymentSpec, Feature, Grade, Observed, Plan, Problem

from .cron_windows import cron_windows, what_cron_cannot_say
from .fidelity import grade
from .options import Options as KedaOptions
from .scaled_object import scaled_object

LONGEST_NAME = 63 - len("keda-hpa-")
"""KEDA names the HPA after the ScaledObject, in a label."""
DAY_S = 86400.0


class K8sKeda:
    name: ClassVar[str] = "k8s-keda"
    Options: ClassVar[type[BaseModel]] = KedaOptions
    lacks: ClassVar[Mapping[Feature, str]] = {
        Feature.APPLY: "it renders manifests, which people apply with kubectl",
        Feature.EVICT: "it renders manifests, and no manifest names a single pod",
    }
    on_this_machine = False

    def __init__(self, options: KedaOptions, env: Env) -> None:
        self._options = options
        self._env = env

    def check(self) -> Sequence[Problem]:
        return ()

    def compile(self, want: tuple[DeploymentSpec, ...]) -> Plan:
        """Of the clock only the day counts, and only where a schedule is exported: its report names holidays to come.

        Raises `ApplyError`.
        """
        artefacts: list[Artefact] = []
        fidelity: dict[tuple[str, str], Grade] = {}
        for spec in sorted(want, key=lambda spec: spec.name):
            _check_name(spec.name)
            windows = cron_windows(spec.policy)
            unsaid = tuple(what_cron_cannot_say(spec.policy, self._today_s())) if spec.policy.schedule else ()
            body = scaled_object(spec, windows, self._labels(), self._options)
            artefacts.append(Artefact(f"ScaledObject/{spec.name}", body))
            grades = grade(spec.policy, windows, unsaid, self._options)
            fidelity |= {(spec.name, field): found for field, found in grades.items()}
        return Plan(tuple(artefacts), fidelity)

    async def apply(self, plan: Plan) -> None:
        raise ApplyError(
            f"{self.name} only renders: `fs policy compile --backend {self.name} -o yaml | kubectl apply -f -` applies"
        )

    async def observe(self) -> AsyncIterator[Observed]:
        raise ApplyError(f"{self.name} only renders, and can't see what runs: `kubectl get scaledobjects` does")
        yield  # makes it the generator that the contract asks for

    def _labels(self) -> Mapping[str, str]:
        owner = {"app.kubernetes.io/instance": self._env.owner} if self._env.owner else {}
        return {"app.kubernetes.io/managed-by": "finsight-serve", **owner}

    def _today_s(self) -> float:
        return self._env.clock.now() // DAY_S * DAY_S


def _check_name(name: str) -> None:
    if len(name) > LONGEST_NAME:
        raise ApplyError(
            f"deployment {name!r}: a name may have {LONGEST_NAME} characters on Kubernetes with KEDA, and this one has "
            f"{len(name)}: give it a shorter one"
        )
