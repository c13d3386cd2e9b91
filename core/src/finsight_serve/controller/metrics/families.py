"""The controller's state and the ledger's counters as Prometheus' metric families. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import Metric as Family

from ... import __version__
from ...domain.breaker import Breaker
from ...domain.migration import weights
from ...observability import metrics as m
from ...observability.metrics import Metric
from ...plugin import REFUSED, Replica, Route
from ...schedule import next_cut_over, situation_at
from ...stack.values import Deployment, Stack
from ...store.ledger import TTFT_BUCKETS_S, Counters
from ..edge import EDGE
from ..migrating import prescaled, running_migrations
from ..routing import route_table
from ..scaling import cold_start_s
from ..state import LOAD_BALANCER, State
from ..tenancy import tenants

NOBODY = NO_DEPLOYMENT = ""


@dataclass
class Failures:
    """Of this controller since its start: what leaves no trace in the state."""

    store: int = 0
    apply: Counter[str] = field(default_factory=Counter)  # by backend


def families(state: State, ledger: Sequence[Counters] | None, failures: Failures) -> Iterator[Family]:
    """`ledger` None: it can't be read now. Before anything was served there is only the build to tell of."""
    yield _family(m.BUILD_INFO, [((__version__,), 1)])
    yield _family(m.STORE_FAILURES, [((), failures.store)])
    yield _family(m.LEDGER_READABLE, [((), ledger is not None)])
    stack = state.durable.stack
    if stack is None:
        return
    yield from _of_policies(state, stack)
    yield from _of_replicas(state, stack)
    yield from _of_the_whole(state, stack, failures)
    yield from _of_tenants(state, stack)
    yield from _of_migrations(state)
    if ledger is not None:
        yield from _of_the_ledger(state, stack, ledger)


Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float | int | None]]
"""Values of the labels in the order of the description; None: there is no such sample now."""


def _family(metric: Metric, samples: Samples) -> Family:
    family = Family(metric.name, metric.help, metric.kind)
    for labels, value in samples:
        if value is not None:
            family.add_sample(metric.sample, dict(zip(metric.labels, labels, strict=True)), float(value))
    return family


def _one_of(metric: Metric, found: Mapping[str, str], choices: Iterable[str]) -> Family:
    """Each name's choice as 1, all others as 0: so that what ends is seen to end."""
    choices = tuple(choices)
    return _family(metric, (((name, one), one == now) for name, now in found.items() for one in choices))


def _of_policies(state: State, stack: Stack) -> Iterator[Family]:
    durable, now_s = state.durable, state.now_s
    numbers = prescaled(durable)
    held = {one.name: numbers.get(one.name, one.policy) for one in stack.deployments}

    def why(deployment: Deployment) -> str:
        reason = situation_at(deployment.policy, now_s, cold_start_s(durable, deployment.name)).why
        raised = held[deployment.name] != durable.policies_in_force.get(deployment.name, held[deployment.name])
        return f"{reason}; raised for tenants that are being moved here" if raised else reason

    def next_at_s(deployment: Deployment) -> float | None:
        edge = next_cut_over(deployment.policy, now_s, cold_start_s(durable, deployment.name))
        return edge.at_s if edge else None

    each = stack.deployments
    places = {name: ref.plugin for name, ref in stack.backends.items()}
    models = {one.name: durable.served_models.get(one.name, one.model) for one in each}
    yield _family(
        m.DEPLOYMENT_INFO, (((one.name, one.backend, places[one.backend], models[one.name]), 1) for one in each)
    )
    yield _family(m.POLICY_INFO, (((one.name, why(one)), 1) for one in each))
    yield _family(m.POLICY_TARGET, (((name,), policy.target_ongoing_requests) for name, policy in held.items()))
    yield _family(m.POLICY_MIN, (((name,), policy.min_replicas) for name, policy in held.items()))
    yield _family(m.POLICY_MAX, (((name,), policy.max_replicas) for name, policy in held.items()))
    yield _family(m.NEXT_CUT_OVER, (((one.name,), next_at_s(one)) for one in each))
    yield _family(m.CUT_OVERS_LATE, (((one.name,), durable.cut_overs_late.get(one.name, 0)) for one in each))
    promised = ((one.name, one.policy.slo.p99_ttft_s if one.policy.slo else None) for one in each)
    yield _family(m.PROMISED_TTFT, (((name,), value) for name, value in promised))


def _of_replicas(state: State, stack: Stack) -> Iterator[Family]:
    names = [one.name for one in stack.deployments]
    own: dict[str, list[Replica]] = {name: [] for name in names}
    for seen in state.observed.values():
        for replica in seen.replicas:
            if replica.deployment in own:
                own[replica.deployment].append(replica)
    states = Counter[Labels]((name, replica.state) for name in names for replica in own[name])
    verdicts = Counter[Labels](
        (name, _verdict(state, one)) for name in names for one in own[name] if one.state == "ready"
    )
    leaving = {name: sum(one.id in state.durable.evicting for one in own[name]) for name in names}
    breakers = {name: state.durable.breakers.get(name, Breaker()).state for name in names}

    yield _family(m.REPLICAS, (((name, one), states[name, one]) for name in names for one in m.REPLICA_STATES))
    yield _family(m.REPLICAS_EVICTING, (((name,), count) for name, count in leaving.items()))
    yield _family(m.PROBED_REPLICAS, (((name, one), verdicts[name, one]) for name in names for one in m.VERDICTS))
    yield _family(m.COLD_START, (((name,), cold_start_s(state.durable, name)) for name in names))
    yield _family(m.RUNNING, (((name,), _load(state, own[name], "running")) for name in names))
    yield _family(m.WAITING, (((name,), _load(state, own[name], "waiting")) for name in names))
    yield _one_of(m.BREAKER_STATE, breakers, m.BREAKER_STATES)


def _verdict(state: State, replica: Replica) -> str:
    health = state.health.get(replica.id)
    if health is None:
        return "unprobed"
    return "busy" if health.busy else health.verdict


def _load(state: State, replicas: Iterable[Replica], figure: str) -> float | None:
    """Summed over the replicas that say."""
    loads = (state.load.get(replica.id) for replica in replicas)
    found = [value for load in loads if load is not None and (value := getattr(load, figure)) is not None]
    return sum(found) if found else None


def _of_the_whole(state: State, stack: Stack, failures: Failures) -> Iterator[Family]:
    backends = {name: name for name in stack.backends} | {LOAD_BALANCER: m.LOAD_BALANCER}
    conditions = {shown: _condition(state, stack, name) for name, shown in backends.items()}
    edge = state.observed.get(LOAD_BALANCER)
    yield _one_of(m.BACKEND_STATE, conditions, m.CONDITIONS)
    yield _family(m.APPLY_FAILURES, (((shown,), failures.apply[name]) for name, shown in backends.items()))
    yield _family(m.ROUTE_VERSION, [((), state.durable.route_version)])
    yield _family(m.ROUTE_VERSION_APPLIED, [((), state.routes_in_force or None)])
    yield _family(m.CERTIFICATE_EXPIRY, [((), edge.certificate_ends_s if edge else None)])


def _condition(state: State, stack: Stack, backend: str) -> str:
    if backend in state.unreachable:
        return "unreachable"
    if backend == LOAD_BALANCER and _is_down(state, stack):
        return "down"
    if backend in state.failing:
        return "not_applied"
    return "ok" if backend in state.observed else "unseen"


def _is_down(state: State, stack: Stack) -> bool:
    """Whether what clients talk to has nothing in force: it does not run."""
    seen = state.observed.get(LOAD_BALANCER)
    in_force = seen.in_force if seen else None
    mark = EDGE if stack.edge else ""
    return in_force is not None and not any(artefact.name.startswith(mark) for artefact in in_force)


def _of_tenants(state: State, stack: Stack) -> Iterator[Family]:
    durable = state.durable
    routes = (state.table or route_table(state)).routes
    shares = {(route.tenant, to): percent / 100 for route in routes for to, percent in route.weights.items()}
    yield _family(m.ROUTE_WEIGHT, shares.items())

    edge = state.observed.get(LOAD_BALANCER)
    if edge is not None and edge.open_streams is not None:
        places = dict.fromkeys(_routed(routes), 0)
        names, deployments = {route.tenant for route in routes}, {one.name for one in stack.deployments}
        for (tenant, deployment), count in edge.open_streams.items():
            if tenant in names and deployment in deployments:
                places[tenant, deployment] = count
        yield _family(m.STREAMS_OPEN, places.items())

    ends_s = (
        (tenant.name, [durable.key_ends_s.get(digest) for digest in durable.tenant_key_sha256.get(tenant.name, ())])
        for tenant in tenants(durable)
    )
    first = ((name, min((at_s for at_s in all_s if at_s is not None), default=None)) for name, all_s in ends_s)
    yield _family(m.KEY_EXPIRY, (((name,), at_s) for name, at_s in first))


def _routed(routes: Iterable[Route]) -> Iterator[Labels]:
    """Each tenant with each deployment that it is sent to, or would be if that had a replica."""
    return ((route.tenant, to) for route in routes for to in (*route.weights, *route.assigned) if to != REFUSED)


def _of_migrations(state: State) -> Iterator[Family]:
    moving = tuple(running_migrations(state.durable))
    yield _family(m.MIGRATION_START, (((one.tenant, one.destination, one.phase), one.since_s) for one in moving))
    yield _family(m.MIGRATION_HOLD, (((one.tenant, one.destination), one.rules.hold_s) for one in moving))
    yield _family(
        m.MIGRATION_SHARE,
        (((one.tenant, one.destination), weights(one).get(one.destination, 0) / 100) for one in moving),
    )
    yield _family(m.MIGRATION_PAUSED, (((one.tenant, one.destination), one.paused) for one in moving))


def _of_the_ledger(state: State, stack: Stack, ledger: Sequence[Counters]) -> Iterator[Family]:
    """Of the stack's tenants and deployments: the ledger remembers those that left, and they would pile up here.

    Whoever is routed begins at zero, since `increase()` misses what a counter is born with; so do requests that no
    deployment takes, of which a few may be all there is to see of an outage.
    """
    names = {tenant.name for tenant in tenants(state.durable)} | {NOBODY}
    deployments = {one.name for one in stack.deployments} | {NO_DEPLOYMENT}
    rows = {
        (one.tenant, one.deployment): one for one in ledger if one.tenant in names and one.deployment in deployments
    }
    routes = (state.table or route_table(state)).routes
    places = dict.fromkeys((*_routed(routes), *rows))

    def count(place: Labels, figure: str) -> int:
        return int(getattr(rows[place], figure)) if place in rows else 0

    ended: dict[Labels, int] = {(route.tenant, NO_DEPLOYMENT, "failed"): 0 for route in routes}
    ended |= {(*place, outcome): count(place, outcome) for place in places for outcome in m.OUTCOMES}
    yield _family(m.REQUESTS, ended.items())
    for metric, figure in (
        (m.TURNED_AWAY, "turned_away"),
        (m.PROMPT_TOKENS, "prompt_tokens"),
        (m.COMPLETION_TOKENS, "completion_tokens"),
    ):
        yield _family(metric, ((place, count(place, figure)) for place in places))
    yield _histogram(m.TTFT, {place: row for place, row in rows.items() if place[1] != NO_DEPLOYMENT})


def _histogram(metric: Metric, rows: Mapping[Labels, Counters]) -> Family:
    family = Family(metric.name, metric.help, metric.kind)
    bounds = (*map(str, TTFT_BUCKETS_S), "+Inf")
    for place, row in rows.items():
        labels = dict(zip(metric.labels, place, strict=True))
        below = 0
        for bound, requests in zip(bounds, row.ttft_buckets, strict=True):
            below += requests
            family.add_sample(metric.sample, {**labels, "le": bound}, below)
        family.add_sample(f"{metric.name}_count", labels, below)
        family.add_sample(f"{metric.name}_sum", labels, row.ttft_sum_s)
    return family
