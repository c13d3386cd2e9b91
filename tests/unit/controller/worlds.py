"""A stack and facts about it, for the tests of the reducer."""

from hypothesis import strategies as st

from finsight_serve.controller.facts import (
    Fact,
    Probed,
    Seen,
    StackChosen,
    TenantAdded,
    TenantKeyIssued,
    TenantKeysRevoked,
    TenantRemoved,
    TimePassed,
)
from finsight_serve.controller.memory import documents, recall
from finsight_serve.controller.reduce import reduce
from finsight_serve.controller.state import ReplicaLoad, State
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


BOTH = stack(("chat", "one"), ("code", "two"))


def after(*facts: Fact, state: State | None = None, now_s: float = 0.0) -> State:
    """None of them is refused."""
    state = state or State()
    for fact in facts:
        step = reduce(state, fact, now_s)
        assert not step.refused, step.refused
        state = step.state
    return state


class _Shelf(dict[str, str]):
    """Documents in memory, read as a store is."""

    def read(self, name: str) -> str | None:
        return self.get(name)


def recalled(state: State) -> State:
    """What a controller that starts anew knows, before it has looked at anything."""
    return recall(_Shelf(documents(state)))  # type: ignore[arg-type]


HASHES = st.sampled_from([f"h{n}" for n in range(8)])
NAMES = st.sampled_from(["default", "acme", "beta"])
TENANT_FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(TenantAdded, st.builds(Tenant, NAMES, st.sampled_from(["chat", "code"])), HASHES),
    st.builds(TenantRemoved, NAMES),
    st.builds(TenantKeyIssued, NAMES, HASHES, st.sampled_from([0.0, 5.0, 50.0])),
    st.builds(TenantKeysRevoked, NAMES),
    st.just(TimePassed()),
)
"""Any of them may be refused."""
