"""A stack and facts about it, for the tests of the reducer."""

from finsight_serve.controller.facts import Probed, Seen, StackChosen
from finsight_serve.controller.state import ReplicaLoad
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.domain.health import HealthRules
from finsight_serve.plugin import Launch, Observed, Replica
from finsight_serve.stack.values import Deployment, PluginRef, Stack, Tenant

ENGINE = PluginRef("an-engine")


def stack(*deployments: tuple[str, str], rules: HealthRules | None = None) -> Stack:
    """(deployment, backend) pairs; the tenant `default` is on the first one."""
    made = tuple(
        Deployment(name, "a-model", ENGINE, backend, AutoscalingPolicy(max_replicas=4)) for name, backend in deployments
    )
    backends = {backend: PluginRef("an-orchestrator") for _, backend in deployments}
    tenants = (Tenant("default", made[0].name),)
    return Stack("test", backends, PluginRef("a-balancer"), PluginRef("a-probe"), rules or HealthRules(), made, tenants)


def chosen(stack: Stack, *, argv: str = "serve", salt: str = "1") -> StackChosen:
    names = [deployment.name for deployment in stack.deployments]
    return StackChosen(
        stack,
        {name: Launch((argv, name), "module:app") for name in names},
        {name: "a-model" for name in names},
        {name: (f"current-{name}-{salt}", f"previous-{name}-{salt}") for name in names},
    )


def replica(id: str, deployment: str = "chat", state: str = "ready") -> Replica:
    return Replica(id, deployment, f"127.0.0.1:{id}", state)  # type: ignore[arg-type]


def seen(backend: str, *replicas: Replica) -> Seen:
    return Seen(backend, Observed(replicas))


def probed(id: str, verdict: str = "timeout", *, moved: bool = False) -> Probed:
    return Probed(id, verdict, moved, ReplicaLoad())  # type: ignore[arg-type]
