"""`want(state)`: the whole desired state of every backend and of the load balancer, pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from ..plugin import KEY_HASHES_ENV, DeploymentSpec, Limits, Replica, Route, RouteTable
from ..stack.values import Deployment, Stack, Tenant
from .state import LOAD_BALANCER, Durable, ReplicaKeys, State


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
    return Wants(backends, published_routes(state))


def _want_nothing(state: State, stack: Stack) -> Wants:
    """The edge first: it stops taking requests and drains, while the replicas still answer."""
    assert state.stopping is not None
    if not state.stopping.edge_is_down:
        return Wants({}, RouteTable())
    names = {*stack.backends, *state.durable.retired} - state.stopping.down
    return Wants({name: () for name in names}, None)


def is_stopped(state: State) -> bool:
    stack = state.durable.stack
    if state.stopping is None or stack is None:
        return False
    names = {*stack.backends, *state.durable.retired}
    return state.stopping.edge_is_down and names <= state.stopping.down


def published_routes(state: State) -> RouteTable | None:
    """None until each backend was looked at once: after a restart the table would be empty before that."""
    stack = state.durable.stack
    if stack is None or not all(name in state.observed for name in stack.backends):
        return None
    return route_table(state)


def all_deployments_are_ready(state: State, stack: Stack) -> bool:
    ready = {r.deployment for name in stack.backends for r in _ready_replicas(state, name)}
    return all(deployment.name in ready for deployment in stack.deployments)


def deployment_specs(durable: Durable, stack: Stack, backend: str) -> tuple[DeploymentSpec, ...]:
    return tuple(_spec(durable, deployment) for deployment in stack.deployments if deployment.backend == backend)


def _spec(durable: Durable, deployment: Deployment) -> DeploymentSpec:
    launch = durable.launches[deployment.name]
    env = {**launch.env, KEY_HASHES_ENV: _accepted_hashes(durable.replica_keys[deployment.name])}
    evict = frozenset(replica_id for replica_id, of in durable.evicting.items() if of == deployment.name)
    return DeploymentSpec(deployment.name, replace(launch, env=env), deployment.policy, evict)


def _accepted_hashes(keys: ReplicaKeys) -> str:
    return ",".join(sha256(key.encode()).hexdigest() for key in (keys.current, keys.previous))


def route_table(state: State) -> RouteTable:
    durable = state.durable
    if durable.stack is None:
        return RouteTable()
    wanted = {deployment.name for deployment in durable.stack.deployments}
    replicas = sorted(
        (
            replica
            for backend in state.observed
            if backend != LOAD_BALANCER
            for replica in _ready_replicas(state, backend)
            if replica.deployment in wanted
        ),
        key=lambda replica: (replica.deployment, replica.id),
    )
    return RouteTable(
        tuple(_route(durable, tenant) for tenant in durable.stack.tenants),
        tuple(replicas),
        {name: keys.previous for name, keys in durable.replica_keys.items()},
    )


def _ready_replicas(state: State, backend: str) -> list[Replica]:
    seen = state.observed.get(backend)
    if seen is None:
        return []
    return [r for r in seen.replicas if r.state == "ready" and r.id not in state.durable.evicting]


def _route(durable: Durable, tenant: Tenant) -> Route:
    keys = durable.tenant_key_sha256.get(tenant.name, ())
    return Route(tenant.name, keys, {tenant.deployment: 100}, Limits(tenant.max_ongoing_requests))
