"""The route table: what each tenant was assigned, what it is being moved to, and what can answer now. Pure."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ..domain.migration import Migration, weights
from ..domain.routing import WHOLE, overlay
from ..domain.wording import counted
from ..plugin import Limits, Replica, Route, RouteTable
from ..stack.values import Stack, Tenant
from .migrating import migrations_by_tenant
from .state import LOAD_BALANCER, Durable, State
from .tenancy import tenants

CHANGES_SHOWN = 5
TIMES_ITS_TARGET = 8
"""What a replica may have in work at most, by how much it should have.

An engine that gets no faster beyond its target then answers after eight times as long as at its target (Little's law):
more would wait for what nobody waits for. And the autoscaler sees a load by which even half its steps, with a factor
of 0.5, go to more than four times as many replicas; Ray's own default for a replica is as many.
"""


def route_table(state: State) -> RouteTable:
    durable = state.durable
    if durable.stack is None:
        return RouteTable()
    replicas = sorted(
        (replica for routed in routed_replicas(state).values() for replica in routed),
        key=lambda replica: (replica.deployment, replica.id),
    )
    admits = _admits(durable, {replica.deployment for replica in replicas})
    moving, known = migrations_by_tenant(durable), _all_of(durable)
    return RouteTable(
        tuple(_route(durable, tenant, moving.get(tenant.name), known, admits) for tenant in tenants(durable)),
        tuple(replicas),
        {name: keys.previous for name, keys in durable.replica_keys.items()},
        durable.route_version,
        state.shadow_socket if any(map(_shadow_percent, moving.values())) else "",
        _refs(state, durable.stack),
        _spares(durable, durable.stack, admits),
        max_ongoing_requests=_max_ongoing_requests(durable, durable.stack, replicas),
    )


def describe_change(before: RouteTable | None, after: RouteTable) -> str:
    """How many replicas are routed to, and whose weights are others than before."""
    earlier = {route.tenant: list(route.weights.items()) for route in before.routes} if before else {}
    changed = [
        f"{route.tenant}: {describe_weights(route.weights)}"
        for route in after.routes
        if before is not None and earlier.get(route.tenant) != list(route.weights.items())
    ]
    shown = changed[:CHANGES_SHOWN]
    if len(changed) > len(shown):
        shown.append(f"{len(changed) - len(shown)} more tenants")
    return "; ".join([f"{counted(len(after.replicas), 'ready replica')} routed", *shown])


def describe_weights(weights: Mapping[str, int]) -> str:
    """ "chat 90 %, chat-local 10 %"; a share that is refused is called so."""
    return ", ".join(f"{name or 'refused'} {percent} %" for name, percent in weights.items()) or "refused"


def assignments(durable: Durable, names: Collection[str]) -> Mapping[str, Mapping[str, int]]:
    """The weights of those of `names` that are tenants, as `assigned` says of one."""
    moving, known = migrations_by_tenant(durable), _all_of(durable)
    found = (tenant for tenant in tenants(durable) if tenant.name in names)
    return {tenant.name: _assigned(durable, tenant, moving.get(tenant.name), known) for tenant in found}


def assigned(durable: Durable, tenant: Tenant) -> Mapping[str, int]:
    """A tenant's weights, adding up to 100: a migration's, else what it was moved to, else its own deployment.

    Where the stack has none of these any more it is where a migration is to bring it; with no migration, nowhere: {}.
    """
    return _assigned(durable, tenant, migrations_by_tenant(durable).get(tenant.name), _all_of(durable))


def _all_of(durable: Durable) -> Mapping[str, int]:
    """The stack's deployments, as if each of them admitted all."""
    assert durable.stack is not None
    return {deployment.name: WHOLE for deployment in durable.stack.deployments}


def _assigned(
    durable: Durable, tenant: Tenant, migration: Migration | None, known: Mapping[str, int]
) -> Mapping[str, int]:
    own = weights(migration) if migration else durable.assignments.get(tenant.name, {})
    if own and (left := overlay(own, known, ())):  # without what the stack has no more
        return left
    if tenant.deployment in known:
        return {tenant.deployment: WHOLE}
    return {migration.destination: WHOLE} if migration and migration.destination in known else {}


def routed_replicas(state: State) -> Mapping[str, tuple[Replica, ...]]:
    """By backend. One that was not looked at since the start counts as it was routed last: it may well be as it was."""
    stack = state.durable.stack
    wanted = {deployment.name for deployment in stack.deployments} if stack else set()
    found = {}
    for backend in sorted({*state.observed, *state.durable.routed} - {LOAD_BALANCER}):
        seen = backend in state.observed
        candidates = ready_replicas(state, backend) if seen else state.durable.routed[backend]
        kept = tuple(r for r in candidates if r.deployment in wanted and r.id not in state.durable.evicting)
        if kept:
            found[backend] = kept
    return found


def known_refs(state: State) -> Mapping[str, Mapping[str, str]]:
    """By backend, of the stack's deployments. As with replicas, one that was not looked at counts as it was last."""
    stack = state.durable.stack
    wanted = {deployment.name for deployment in stack.deployments} if stack else set()
    found = {**state.durable.refs, **{name: seen.refs for name, seen in state.observed.items()}}
    kept = {
        backend: {name: ref for name, ref in refs.items() if name in wanted}
        for backend, refs in sorted(found.items())
        if backend != LOAD_BALANCER
    }
    return {backend: refs for backend, refs in kept.items() if refs}


def _refs(state: State, stack: Stack) -> Mapping[str, str]:
    """A native endpoint leads to one backend's replicas: it stands for a deployment whose ready ones are all there."""
    places = {deployment.name: {deployment.backend} for deployment in stack.deployments}
    for backend, replicas in routed_replicas(state).items():
        for replica in replicas:
            places[replica.deployment].add(backend)
    refs = known_refs(state)
    return {
        deployment.name: refs[deployment.backend][deployment.name]
        for deployment in stack.deployments
        if places[deployment.name] == {deployment.backend} and deployment.name in refs.get(deployment.backend, {})
    }


def _spares(durable: Durable, stack: Stack, admits: Mapping[str, int]) -> Mapping[str, str]:
    """By deployment, another of the same model that admits all; of another backend if any: one may be lost whole.

    It is for the seconds in which a deployment's replicas are gone and nobody has noticed: then `overlay` takes over.
    """
    willing = [one for one in stack.deployments if admits[one.name] == WHOLE and one.name in durable.served_models]
    found = {}
    for deployment in stack.deployments:
        model = durable.served_models.get(deployment.name)
        others = [o for o in willing if o.name != deployment.name and durable.served_models[o.name] == model]
        if others and admits[deployment.name]:
            found[deployment.name] = min(others, key=lambda other: other.backend == deployment.backend).name
    return found


def _max_ongoing_requests(durable: Durable, stack: Stack, replicas: Sequence[Replica]) -> Mapping[str, int]:
    """By deployment, for all its ready replicas together. One without any takes nothing anyway."""
    ready = Counter(replica.deployment for replica in replicas)
    found = {}
    for deployment in stack.deployments:
        policy = durable.policies_in_force.get(deployment.name, deployment.policy)
        each = deployment.max_ongoing_requests
        if each is None:
            each = math.ceil(TIMES_ITS_TARGET * policy.target_ongoing_requests)
        if each and ready[deployment.name]:
            found[deployment.name] = each * ready[deployment.name]
    return found


def ready_replicas(state: State, backend: str) -> list[Replica]:
    seen = state.observed.get(backend)
    if seen is None:
        return []
    return [r for r in seen.replicas if r.state == "ready" and r.id not in state.durable.evicting]


def _admits(durable: Durable, with_replicas: set[str]) -> Mapping[str, int]:
    """Deployment → percent of its share that it may take now."""
    assert durable.stack is not None
    half_open_percent = durable.stack.breaker.half_open_percent
    by_state = {"closed": 100, "half_open": half_open_percent, "open": 0}
    return {
        d.name: by_state[durable.breakers[d.name].state if d.name in durable.breakers else "closed"]
        if d.name in with_replicas
        else 0
        for d in durable.stack.deployments
    }


def _route(
    durable: Durable,
    tenant: Tenant,
    migration: Migration | None,
    known: Mapping[str, int],
    admits: Mapping[str, int],
) -> Route:
    given = _assigned(durable, tenant, migration, known)
    models = {durable.served_models.get(name) for name in given}
    spare = [name for name, percent in admits.items() if percent == 100 and models == {durable.served_models.get(name)}]
    return Route(
        tenant.name,
        durable.tenant_key_sha256.get(tenant.name, ()),
        overlay(given, admits, spare),
        Limits(tenant.max_ongoing_requests, tenant.requests_per_s, tenant.tokens_per_minute),
        _shadow_percent(migration),
        given,
    )


def _shadow_percent(migration: Migration | None) -> int:
    return migration.rules.shadow_percent if migration and migration.phase == "shadowing" else 0
