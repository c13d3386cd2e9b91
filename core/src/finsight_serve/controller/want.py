"""`want(state)`: the whole desired state of every backend and of the load balancer, pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from ..domain import AutoscalingPolicy
from ..plugin import KEY_HASHES_ENV, DeploymentSpec, RouteTable
from ..stack.values import Deployment, Stack
from .migrating import prescaled
from .routing import ready_replicas, route_table
from .state import Durable, Place, ReplicaKeys, State


@dataclass(frozen=True)
class Wants:
    """A place that is absent is left as it is: nothing is known that would justify touching it."""

    backends: Mapping[str, tuple[DeploymentSpec, ...]]  # empty only for what is retired or being stopped
    routes: RouteTable | None


def want(state: State) -> Wants:
    stack = state.durable.stack
    if stack is None:
        return Wants({}, None)
    if state.stopping is not None:
        return _want_nothing(state, stack)
    specs = _specs(state.durable, stack)
    backends = {name: _on(stack, name, specs) for name in stack.backends}
    if state.durable.retired and _is_taken_over(state, stack):
        backends |= {name: () for name in state.durable.retired}
    return Wants(backends, state.table or route_table(state))


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


def _is_taken_over(state: State, stack: Stack) -> bool:
    """Whether nobody needs what the stack left behind: all it has is ready, and whoever balances was told so."""
    return all_deployments_are_ready(state, stack) and state.routes_in_force == state.durable.route_version


def all_deployments_are_ready(state: State, stack: Stack) -> bool:
    ready = {r.deployment for name in stack.backends for r in ready_replicas(state, name)}
    return all(deployment.name in ready for deployment in stack.deployments)


def deployment_specs(durable: Durable, stack: Stack, backend: str) -> tuple[DeploymentSpec, ...]:
    return _on(stack, backend, _specs(durable, stack))


def _specs(durable: Durable, stack: Stack) -> Mapping[str, DeploymentSpec]:
    policies = prescaled(durable)
    return {one.name: _spec(durable, one, policies[one.name]) for one in stack.deployments}


def _on(stack: Stack, backend: str, specs: Mapping[str, DeploymentSpec]) -> tuple[DeploymentSpec, ...]:
    return tuple(specs[one.name] for one in stack.deployments if one.backend == backend)


def _spec(durable: Durable, deployment: Deployment, policy: AutoscalingPolicy) -> DeploymentSpec:
    launch = durable.launches[deployment.name]
    env = {**launch.env, KEY_HASHES_ENV: _accepted_hashes(durable.replica_keys[deployment.name])}
    place = Place(deployment.backend, deployment.name)
    evict = frozenset(replica_id for replica_id, at in durable.evicting.items() if at == place)
    return DeploymentSpec(deployment.name, replace(launch, env=env), policy, evict)


def _accepted_hashes(keys: ReplicaKeys) -> str:
    return ",".join(sha256(key.encode()).hexdigest() for key in (keys.current, keys.previous))
