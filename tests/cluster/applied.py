"""Deployments whose objects count and whose pods don't: nothing is ever started of their image."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.plugin import ApplyError, DeploymentSpec, Launch, Plan
from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.k8s_keda import K8sKeda
from finsight_serve_k8s_keda.options import Access
from finsight_serve_k8s_keda.ownership import FIELD_MANAGER, owned

from .harness.kubectl import Kubectl

SIGNALS = {"running": "vllm:num_requests_running", "waiting": "vllm:num_requests_waiting"}
LAUNCH = Launch(("python3", "-c", "pass"), "", signals=SIGNALS, image="registry.invalid/none:1", num_cpus=0.01)
POLICY = AutoscalingPolicy(min_replicas=1, max_replicas=3)


def wanted(*names: str, policy: AutoscalingPolicy = POLICY, evict: Sequence[str] = ()) -> tuple[DeploymentSpec, ...]:
    return tuple(DeploymentSpec(name, LAUNCH, policy, frozenset(evict)) for name in names)


@dataclass
class Applying:
    """The plugin on a namespace of a cluster."""

    kubectl: Kubectl
    namespace: str
    prometheus: str
    folder: Path
    owner: str = "tests"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plugin(self) -> K8sKeda:
        env = replace(make_env(self.folder), owner=self.owner)
        return K8sKeda(K8sKeda.Options.model_validate(self.all_options), env)

    @property
    def all_options(self) -> dict[str, Any]:
        return {
            "kubeconfig": str(self.kubectl.kubeconfig),
            "context": self.kubectl.context,
            "namespace": self.namespace,
            "prometheus": self.prometheus,
            "image_pull_policy": "Never",
            **self.options,
        }

    @property
    def access(self) -> Access:
        return Access.model_validate({key: self.all_options[key] for key in ("kubeconfig", "context", "namespace")})

    def but(self, owner: str = "", **options: Any) -> "Applying":
        return replace(self, owner=owner or self.owner, options={**self.options, **options})

    def plan(self, *names: str, **more: Any) -> Plan:
        return self.plugin.compile(wanted(*names, **more))

    def apply(self, *names: str, **more: Any) -> Plan:
        plan = self.plan(*names, **more)
        anyio.run(self.plugin.apply, plan)
        return plan

    def refusal(self, *names: str, **more: Any) -> str:
        """What applying is refused with: one line for people."""
        plan = self.plan(*names, **more)
        try:
            anyio.run(self.plugin.apply, plan)
        except ApplyError as error:
            (line,) = str(error).splitlines()
            return line
        raise AssertionError("nothing was refused")

    def problem(self) -> str:
        """The one thing that `fs doctor` finds: "field: what; fix"."""
        (found,) = self.plugin.check()
        return f"{found.field}: {found.message}; {found.fix}"

    def get(self, artefact: str) -> Any:
        """None where it isn't."""
        kind, name = artefact.split("/")
        found = self.kubectl(
            "get", kind, name, "-n", self.namespace, "-o", "json", "--ignore-not-found", "--show-managed-fields"
        )
        return json.loads(found) if found else None

    def written_at(self, artefact: str) -> str:
        """When our field manager last changed it, and to what."""
        entries = self.get(artefact)["metadata"]["managedFields"]
        return str([entry for entry in entries if entry["manager"] == FIELD_MANAGER])

    def in_force(self, plan: Plan) -> list[Any]:
        live = [self.get(artefact.name) for artefact in plan.artefacts]
        return [owned(body) if body else None for body in live]

    def left(self) -> set[str]:
        """What of the kinds that the plugin makes is there, save what every namespace has."""
        kinds = "deployments,services,configmaps,scaledobjects,poddisruptionbudgets,networkpolicies,serviceaccounts"
        names = self.kubectl("get", kinds, "-n", self.namespace, "-o", "name").split()
        return {name for name in names if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default")}
