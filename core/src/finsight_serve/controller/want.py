"""`want(state)`: the whole desired state of every backend and of the load balancer, pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from ..plugin import KEY_HASHES_ENV, DeploymentSpec, Limits, Replica, Route, RouteTable
from ..stack.values import Deployment, Stack, Tenant
from .state import LOAD_BALANCER, Durable, Place, ReplicaKeys, State


@dataclass(frozen=True)
class Wants:
    """A place that is absent is left as it is: nothing is known that would justify touching it."""

    backends: Mapping[str, tuple[DeploymentSpec, ...]]  # empty only where the backend is retired or being stopped
    routes: RouteTable | None


def want(state: State) -> Wants:
    stack = state.durable.stack
    if stack is None:
        return Wants({}, None)
    if state.stopping is not None:
        return _want_nothing(state, stack)
    backends = {name: deployment_specs(state.durable, stack, name) for name in stack.backends}
    if state.durable.retired and all_deployments_are_ready(state, stack):
        backends |= {name: () for name in state.durable.retired}
    return Wants(backends, route_table(state))


def _want_nothing(state: State, stack: Stack) -> Wants:
    """The edge first: it stops taking requests and drains, while the replicas still answer."""
    assert state.stopping is not None
    if not state.stopping.edge_is_down:
        return Wants({}, RouteTable())
    names = {*stack.backends, *state.durable.retired} - state.stopping.down - state.stopping.keep
    return Wants({name: () for name in names}, None)


def is_stopped(state: State) -> bool:
    stack = state.durable.stack
    if state.stopping is None or stack is None:
        return False
    names = {*stack.backends, *state.durable.retired} - state.stopping.keep
    return state.stopping.edge_is_down and names <= state.stopping.down


def all_deployments_are_ready(state: State, stack: Stack) -> bool:
    ready = {r.deployment for name in stack.backends for r in _ready_replicas(state, name)}
    return all(deployment.name in ready for deployment in stack.deployments)


def deployment_specs(durable: Durable, stack: Stack, backend: str) -> tuple[DeploymentSpec, ...]:
    return tuple(_spec(durable, deployment) for deployment in stack.deployments if deployment.backend == backend)


def _spec(durable: Durable, deployment: Deployment) -> DeploymentSpec:
    launch = durable.launches[deployment.name]
    env = {**launch.env, KEY_HASHES_ENV: _accepted_hashes(durable.replica_keys[deployment.name])}
    place = Place(deployment.backend, deployment.name)
    evict = frozenset(replica_id for replica_id, at in durable.evicting.items() if at == place)
    return DeploymentSpec(deployment.name, replace(launch, env=env), durable.policies_in_force[deployment.name], evict)


def _accepted_hashes(keys: ReplicaKeys) -> str:
    return ",".join(sha256(key.encode()).hexdigest() for key in (keys.current, keys.previous))


def route_table(state: State) -> RouteTable:
    durable = state.durable
    if durable.stack is None:
        return RouteTable()
    replicas = sorted(
        (replica for routed in routed_replicas(state).values() for replica in routed),
        key=lambda replica: (replica.deployment, replica.id),
    )
    return RouteTable(
        tuple(_route(durable, tenant) for tenant in durable.stack.tenants),
        tuple(replicas),
        {name: keys.previous for name, keys in durable.replica_keys.items()},
    )


def routed_replicas(state: State) -> Mapping[str, tuple[Replica, ...]]:
    """By backend. One that was not looked at since the start counts as it was routed last: it may well be as it was."""
    stack = state.durable.stack
    wanted = {deployment.name for deployment in stack.deployments} if stack else set()
    found = {}
    for backend in sorted({*state.observed, *state.durable.routed} - {LOAD_BALANCER}):
        seen = backend in state.observed
        candidates = _ready_replicas(state, backend) if seen else state.durable.routed[backend]
        kept = tuple(r for r in candidates if r.deployment in wanted and r.id not in state.durable.evicting)
        if kept:
            found[backend] = kept
    return found


def _ready_replicas(state: State, backend: str) -> list[Replica]:
    seen = state.observed.get(backend)
    if seen is None:
        return []
    return [r for r in seen.replicas if r.state == "ready" and r.id not in state.durable.evicting]


def _route(durable: Durable, tenant: Tenant) -> Route:
    keys = durable.tenant_key_sha256.get(tenant.name, ())
    return Route(tenant.name, keys, {tenant.deployment: 100}, Limits(tenant.max_ongoing_requests))
