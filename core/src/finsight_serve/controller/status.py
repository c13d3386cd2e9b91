"""What `fs status` shows, as one value: computed from the state, rendered elsewhere."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..domain import Event
from ..domain.breaker import Breaker, BreakerState
from ..domain.migration import Migration, Phase, explain, weights
from ..plugin import Ceiling, Replica
from ..stack.values import Stack
from ..store import Totals
from .migrating import prescaled, running_migrations, situation_of
from .routing import describe_weights, route_table
from .scaling import cold_start_s, describe_next_cut_over
from .state import LOAD_BALANCER, State
from .tenancy import tenants


@dataclass(frozen=True)
class BackendStatus:
    name: str
    orchestrator: str
    state: str  # "ok" or what is wrong


@dataclass(frozen=True)
class DeploymentStatus:
    name: str
    backend: str
    model: str
    min_replicas: int  # now: a window may have raised it
    max_replicas: int
    ready: int
    starting: int
    running: float | None  # requests, summed over the replicas that say
    waiting: float | None
    cold_start_s: float | None  # the longest of the last measured starts
    breaker: str  # "closed", "half-open" or "open", and why
    next_cut_over: str  # when, and what happens then; "" where the policy has no schedule
    breaker_state: BreakerState = "closed"
    breaker_reason: str = ""
    autoscaler: str = ""  # how its backend's own autoscaler is, where there is one that says so
    endpoint: str = ""  # native to its backend, where it has such


@dataclass(frozen=True)
class ReplicaStatus:
    id: str
    deployment: str
    backend: str
    address: str
    state: str  # the orchestrator's word, or "evicting"
    health: str
    running: float | None
    waiting: float | None
    reason: str


@dataclass(frozen=True)
class TenantStatus:
    name: str
    routed_to: str  # now: "chat 90 %, chat-local 10 %"
    has_key: bool
    open_requests: int | None
    weights: Mapping[str, int] = field(default_factory=dict)  # the same as numbers; what is refused by the name ""


@dataclass(frozen=True)
class MigrationStatus:
    id: str
    tenant: str
    to: str
    phase: Phase
    percent: int  # of the tenant's requests that go there
    paused: bool
    reason: str


@dataclass(frozen=True)
class Status:
    stack: str
    controller: str  # "running, pid N" or "not running"
    url: str
    route_version: int
    load_balancer: str
    backends: tuple[BackendStatus, ...]
    deployments: tuple[DeploymentStatus, ...]
    replicas: tuple[ReplicaStatus, ...]
    tenants: tuple[TenantStatus, ...]
    ledger: tuple[Totals, ...]
    events: tuple[Event, ...]
    migrations: tuple[MigrationStatus, ...] = ()  # those that run
    advice: tuple[str, ...] = ()  # what will need a person, though nothing is wrong yet
    routes_in_force: int = 0  # version of the route table that the load balancer was given last; 0: not known
    explanations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # running migration → what it waits for


def describe(
    state: State,
    *,
    controller: str,
    url: str,
    ledger: tuple[Totals, ...],
    events: tuple[Event, ...],
    ceilings: Mapping[str, Ceiling],
) -> Status:
    """`ceilings`: how far backends are advised to go, where they say so."""
    stack = state.durable.stack
    if stack is None:
        return Status("", controller, url, 0, "nothing was served yet", (), (), (), (), ledger, events)
    replicas = tuple(
        _replica(state, backend, replica)
        for backend, seen in sorted(state.observed.items())
        for replica in seen.replicas
    )
    return Status(
        stack.name,
        controller,
        url,
        state.durable.route_version,
        _trouble(state, LOAD_BALANCER),
        tuple(BackendStatus(name, ref.plugin, _trouble(state, name)) for name, ref in stack.backends.items()),
        tuple(_deployment(state, name.name, replicas) for name in stack.deployments),
        replicas,
        _tenants(state),
        ledger,
        events,
        tuple(_migration(migration) for migration in running_migrations(state.durable)),
        tuple(_near_ceilings(stack, ceilings)),
        state.routes_in_force,
        {m.id: explain(m, situation_of(state, m), state.now_s) for m in running_migrations(state.durable)},
    )


def _near_ceilings(stack: Stack, ceilings: Mapping[str, Ceiling]) -> Iterator[str]:
    for deployment in stack.deployments:
        ceiling = ceilings.get(deployment.backend)
        windows = (window.policy for window in deployment.policy.schedule)
        most = max(policy.max_replicas for policy in (deployment.policy, *windows) if policy)
        if ceiling is not None and ceiling.is_near(most):
            yield (
                f"deployment {deployment.name} may have {most} replicas, and {deployment.backend} is advised for "
                f"{ceiling.replicas} ({ceiling.why}): move tenants to another backend in good time"
            )


def what_is_awaited(status: Status) -> Iterator[str]:
    """What keeps a stack from being ready, for people who wait; the reasons were told when they came up."""
    for deployment in status.deployments:
        if not deployment.ready:
            yield f"{deployment.name}: 0 ready, {deployment.starting} starting"
    for name, state in (("load balancer", status.load_balancer), *((b.name, b.state) for b in status.backends)):
        if state != "ok":
            yield f"{name}: {state.partition(':')[0]}"


def _trouble(state: State, backend: str) -> str:
    if backend in state.unreachable:
        return f"unreachable: {state.unreachable[backend]}"
    if backend in state.failing:
        return f"not applied: {state.failing[backend]}"
    return "ok" if backend in state.observed else "not seen yet"


def _replica(state: State, backend: str, replica: Replica) -> ReplicaStatus:
    load, health = state.load.get(replica.id), state.health.get(replica.id)
    word = "not probed yet"
    if health is not None:
        word = health.verdict if health.verdict == "ok" else f"{health.verdict} ({health.failures} counted)"
        word = "busy" if health.busy else word
    return ReplicaStatus(
        replica.id,
        replica.deployment,
        backend,
        replica.address,
        "evicting" if replica.id in state.durable.evicting else replica.state,
        word,
        load.running if load else None,
        load.waiting if load else None,
        replica.reason,
    )


def _deployment(state: State, name: str, replicas: tuple[ReplicaStatus, ...]) -> DeploymentStatus:
    assert state.durable.stack is not None
    deployment = next(d for d in state.durable.stack.deployments if d.name == name)
    own = [replica for replica in replicas if replica.deployment == name]
    running = [replica.running for replica in own if replica.running is not None]
    waiting = [replica.waiting for replica in own if replica.waiting is not None]
    breaker = state.durable.breakers.get(name, Breaker())
    numbers = prescaled(state.durable).get(name, deployment.policy)
    seen = state.observed.get(deployment.backend)
    return DeploymentStatus(
        name,
        deployment.backend,
        state.durable.served_models.get(name, deployment.model),
        numbers.min_replicas,
        numbers.max_replicas,
        sum(replica.state == "ready" for replica in own),
        sum(replica.state == "starting" for replica in own),
        sum(running) if running else None,
        sum(waiting) if waiting else None,
        cold_start_s(state.durable, name),
        _describe_breaker(breaker),
        describe_next_cut_over(state.durable, deployment, state.now_s),
        breaker.state,
        breaker.reason,
        seen.notes.get(name, "") if seen else "",
        seen.refs.get(name, "") if seen else "",
    )


def _describe_breaker(breaker: Breaker) -> str:
    return "closed" if breaker.state == "closed" else f"{breaker.state.replace('_', '-')}: {breaker.reason}"


def _migration(migration: Migration) -> MigrationStatus:
    return MigrationStatus(
        migration.id,
        migration.tenant,
        migration.destination,
        migration.phase,
        weights(migration).get(migration.destination, 0),
        migration.paused,
        migration.reason,
    )


def _tenants(state: State) -> tuple[TenantStatus, ...]:
    seen = state.observed.get(LOAD_BALANCER)
    streams = None if seen is None else seen.open_streams
    count = Counter[str]()
    for (tenant, _), open_requests in (streams or {}).items():
        count[tenant] += open_requests
    keys = state.durable.tenant_key_sha256
    routes = {route.tenant: route.weights for route in (state.table or route_table(state)).routes}
    return tuple(
        TenantStatus(
            tenant.name,
            describe_weights(routes[tenant.name]),
            bool(keys.get(tenant.name)),
            None if streams is None else count[tenant.name],
            dict(routes[tenant.name]),
        )
        for tenant in tenants(state.durable)
    )
