"""`reduce(state, fact, now)`: the whole of the controller's decisions, pure, one small function per fact."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from hashlib import sha256

from ..domain import Event
from ..domain.audit import AuditEntry
from ..domain.health import HealthRules, ReplicaHealth, choose_evictions, judge
from ..plugin import Launch, Replica
from . import facts
from .amendment import obstacles
from .assignments import heed_file, keep_assignments
from .auditing import audit
from .breaking import judge_breakers
from .clock import set_back_by, tell_time
from .leaving import members
from .migrating import advance_migrations, note_versions
from .migration_intents import take_migration_fact
from .numbering import number_routes, pass_numbers
from .refusal import Refusal
from .routing import describe_change
from .scaling import follow_schedules, measure_starts
from .state import LOAD_BALANCER, Durable, Place, ReplicaKeys, State, Stopping, without
from .tenancy import drop_ended_keys, keep_added, take_tenant_fact
from .told import Telling, Told
from .want import all_deployments_are_ready


@dataclass(frozen=True)
class Step:
    state: State
    events: tuple[Event, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    refused: str = ""  # why an intent was not taken: then nothing has changed


FOLLOW_UPS = (drop_ended_keys, judge_breakers, advance_migrations)
"""What may follow from any fact, in this order: a migration hears of the breakers as they are now."""


def reduce(state: State, fact: facts.Fact, clock_s: float) -> Step:
    """The state after `fact`, and what of it people should hear. Its time does not step back, unless the clock is set.

    Two audits: what was asked is its asker's, and what follows from it, or was due anyway, the controller's.
    """
    before = tell_time(state, clock_s)
    told: Told = []
    if back_s := set_back_by(state, clock_s):
        told.append(("clock_set_back", "clock", f"by {back_s:.0f} s; what has waited has waited as long as before"))
    try:
        taken, heard = (before, []) if isinstance(fact, facts.TimePassed) else _take(before, fact)
    except Refusal as refusal:
        return Step(state, refused=str(refusal))
    taken, cut_over = follow_schedules(state, taken)
    told += [*heard, *cut_over]
    after = taken
    for follow_up in FOLLOW_UPS:
        after, more = follow_up(after)
        told += more
    after = note_versions(number_routes(before, after))
    if after.table is not None and after.durable.route_version != before.durable.route_version:
        reason = describe_change(before.table, after.table)
        told.append(("routes_changed", str(after.durable.route_version), reason))
    events = tuple(Event(after.now_s, kind, subject, reason) for kind, subject, reason in told)
    return Step(after, events, (*audit(before, taken, by=getattr(fact, "by", "")), *audit(taken, after, by="")))


def _take(state: State, fact: facts.News) -> tuple[State, Told]:
    """What people and the ledger say; the rest is the outside world's."""
    if isinstance(fact, facts.TenantFact):
        return take_tenant_fact(state, fact)
    if isinstance(fact, facts.MigrationFact):
        return take_migration_fact(state, fact)
    match fact:
        case facts.StackChosen():
            return _choose_stack(state, fact)
        case facts.StackAmended():
            return _amend_stack(state, fact)
        case facts.StopAsked():
            return _stop(state, fact)
        case facts.Measured():
            return _measured(state, fact), []
        case facts.RoutesSeen():
            return pass_numbers(state, fact.version), []
        case _:
            return _hear(state, fact)


def _hear(state: State, fact: facts.Observation) -> tuple[State, Told]:
    match fact:
        case facts.Seen():
            return _see(state, fact)
        case facts.Unseen():
            return _unreachable(state, fact)
        case facts.NotApplied():
            return _not_applied(state, fact)
        case facts.Applied():
            return _applied(state, fact)
        case facts.Probed():
            return _probed(state, fact)


def _measured(state: State, fact: facts.Measured) -> State:
    return replace(state, measured=fact.deployments, migration_figures=fact.migrations, shadow_reports=fact.shadows)


def _describe(fact: facts.StackChosen) -> str:
    return ", ".join(f"{d.name} on {d.backend}" for d in fact.stack.deployments)


def _choose_stack(state: State, fact: facts.StackChosen) -> tuple[State, Told]:
    old = state.durable
    migrations, told = heed_file(old, fact.stack, state.now_s)
    earlier = {**old.retired, **(members(old.stack) if old.stack else {})}
    keys = {
        name: _keys_for(launch, old.replica_keys.get(name), fact.fresh_keys[name], _routed_ids(old, name))
        for name, launch in fact.launches.items()
    }
    durable = replace(
        old,
        stack=fact.stack,
        launches=fact.launches,
        served_models=fact.served_models,
        replica_keys=keys,
        retired=without(earlier, members(fact.stack)),
        assignments=keep_assignments(old, fact.stack),
        migrations=migrations,
        added_tenants=keep_added(old, fact.stack),
        cold_starts_s={
            name: starts
            for name, starts in old.cold_starts_s.items()
            if name in keys and name in old.replica_keys and keys[name] == old.replica_keys[name]
        },
    )
    after = replace(state, durable=durable, stopping=None)
    return after, [("stack_chosen", fact.stack.name, _describe(fact)), *told]


def _amend_stack(state: State, fact: facts.StackAmended) -> tuple[State, Told]:
    """What is no amendment was one when it was asked for: another stack has been chosen since."""
    if state.durable.stack is None or any(obstacles(state.durable.stack, fact.stack)):
        return state, [("amendment_refused", fact.stack.name, "the stack has changed meanwhile")]
    durable = replace(state.durable, stack=fact.stack)
    return replace(state, durable=durable), [("stack_amended", fact.stack.name, "its numbers were changed")]


def _routed_ids(durable: Durable, deployment: str) -> frozenset[str]:
    return frozenset(r.id for replicas in durable.routed.values() for r in replicas if r.deployment == deployment)


def _keys_for(launch: Launch, old: ReplicaKeys | None, fresh: tuple[str, str], outgoing: frozenset[str]) -> ReplicaKeys:
    """The pair moves on with a new launch, unless replicas of an older one still serve by what it replaced."""
    digest = sha256(
        repr((launch.argv, launch.asgi, launch.asgi_argv, sorted(launch.env.items()), launch.image)).encode()
    )
    if old is None:
        return ReplicaKeys(fresh[0], fresh[1], digest.hexdigest())
    if old.launch_sha256 == digest.hexdigest():
        return old
    if old.outgoing:
        return replace(old, launch_sha256=digest.hexdigest(), outgoing=old.outgoing | outgoing)
    return ReplicaKeys(fresh[0], old.current, digest.hexdigest(), outgoing)


def _see(state: State, fact: facts.Seen) -> tuple[State, Told]:
    told: Told = []
    if fact.backend in state.unreachable:
        told.append(("reachable", fact.backend or "load balancer", "answers again"))
    known = {r.id: r for r in state.observed[fact.backend].replicas} if fact.backend in state.observed else {}
    for replica in fact.observed.replicas:
        if known.get(replica.id) is None or known[replica.id].state != replica.state:
            told.append((f"replica_{replica.state}", replica.id, _replica_reason(replica)))
    present = {replica.id for replica in fact.observed.replicas}
    told += [("replica_gone", gone, f"of {known[gone].deployment}") for gone in known if gone not in present]
    after = measure_starts(state, fact.backend, fact.observed)
    after = replace(
        after,
        observed={**state.observed, fact.backend: fact.observed},
        unreachable=without(state.unreachable, {fact.backend}),
    )
    return _forget_the_gone(after, fact.backend, known, present), told


def _replica_reason(replica: Replica) -> str:
    where = f" at {replica.address}" if replica.address else ""
    return f"of {replica.deployment}{where}" + (f": {replica.reason}" if replica.reason else "")


def _forget_the_gone(state: State, backend: str, known: Collection[str], present: Collection[str]) -> State:
    """An eviction is done once the replica is missing in a snapshot of its backend, even one that went unwatched."""
    stack = state.durable.stack
    here = {d.name for d in stack.deployments if d.backend == backend} if stack else set()
    evicting = {
        replica_id: place
        for replica_id, place in state.durable.evicting.items()
        if place.backend != backend or replica_id in present
    }
    keys = {
        name: replace(pair, outgoing=pair.outgoing & frozenset(present)) if name in here and pair.outgoing else pair
        for name, pair in state.durable.replica_keys.items()
    }
    gone = set(known) - set(present)
    return replace(
        state,
        durable=replace(state.durable, evicting=evicting, replica_keys=keys),
        health=without(state.health, gone),
        load=without(state.load, gone),
    )


def _unreachable(state: State, fact: facts.Unseen) -> tuple[State, Told]:
    """A repeated complaint is not news. The last snapshot stays: replicas outlive their control plane."""
    if state.unreachable.get(fact.backend) == fact.reason:
        return state, []
    after = replace(state, unreachable={**state.unreachable, fact.backend: fact.reason})
    return after, [("unreachable", fact.backend or "load balancer", fact.reason)]


def _not_applied(state: State, fact: facts.NotApplied) -> tuple[State, Told]:
    if state.failing.get(fact.backend) == fact.reason:
        return state, []
    after = replace(state, failing={**state.failing, fact.backend: fact.reason})
    return after, [("apply_failed", fact.backend or "load balancer", fact.reason)]


def _applied(state: State, fact: facts.Applied) -> tuple[State, Told]:
    told: Told = [("applied", fact.backend or "load balancer", "emptied" if fact.emptied else "the want is in force")]
    after = replace(state, failing=without(state.failing, {fact.backend}))
    if fact.backend == LOAD_BALANCER:
        after = replace(
            after,
            durable=replace(after.durable, serving=not fact.emptied and _is_complete(after)),
            routes_in_force=fact.route_version or 0,
        )
    if fact.emptied and fact.backend in after.durable.retired:
        retired = without(after.durable.retired, {fact.backend})
        after = replace(
            after,
            durable=replace(
                after.durable,
                retired=retired,
                routed=without(after.durable.routed, {fact.backend}),
                refs=without(after.durable.refs, {fact.backend}),
            ),
            observed=without(after.observed, {fact.backend}),
        )
    if after.stopping is not None and fact.emptied:
        after = replace(after, stopping=_stopped_at(after.stopping, fact.backend))
    return after, told


def _is_complete(state: State) -> bool:
    """Once everything has been ready, a replica's failure is an incident and no failed start."""
    stack = state.durable.stack
    return state.durable.serving or (stack is not None and all_deployments_are_ready(state, stack))


def _stop(state: State, fact: facts.StopAsked) -> tuple[State, Told]:
    """Asked again, it goes on where it was, and keeps no more than before."""
    old = state.stopping
    stopping = Stopping(fact.keep) if old is None else replace(old, keep=old.keep & fact.keep)
    return replace(state, stopping=stopping), [("stopping", "stack", "asked to stop")] if old != stopping else []


def _stopped_at(stopping: Stopping, backend: str) -> Stopping:
    if backend == LOAD_BALANCER:
        return replace(stopping, edge_is_down=True)
    return replace(stopping, down=stopping.down | {backend})


def _probed(state: State, fact: facts.Probed) -> tuple[State, Told]:
    replica = next((r for seen in state.observed.values() for r in seen.replicas if r.id == fact.replica_id), None)
    if replica is None or state.durable.stack is None:
        return state, []  # it went away while it was asked
    old = state.health.get(fact.replica_id, ReplicaHealth())
    new = judge(old, fact.verdict, tokens_moved=fact.tokens_moved, now_s=state.now_s)
    after = replace(
        state,
        health={**state.health, fact.replica_id: new},
        load={**state.load, fact.replica_id: fact.load},
    )
    told: Told = []
    if (new.verdict, new.busy, new.failures) != (old.verdict, old.busy, old.failures):
        told.append(_tell_probe(fact.replica_id, new, state.durable.stack.health))
    return _evict(after, replica.deployment, told)


def _tell_probe(replica_id: str, health: ReplicaHealth, rules: HealthRules) -> Telling:
    if health.verdict == "ok":
        return "probe_ok", replica_id, "answers again"
    if health.busy:
        return "probe_busy", replica_id, f"{health.verdict}, but tokens were produced meanwhile: not counted"
    return (
        "probe_failed",
        replica_id,
        f"{health.verdict}, {health.failures} of {rules.failures_before_eviction} in a row",
    )


def _evict(state: State, deployment: str, told: Told) -> tuple[State, Told]:
    assert state.durable.stack is not None
    places = {
        replica.id: Place(backend, deployment)
        for backend, seen in state.observed.items()
        for replica in seen.replicas
        if replica.deployment == deployment
    }
    chosen = choose_evictions(places, state.health, state.durable.evicting, state.durable.stack.health)
    if not chosen:
        return state, told
    told += [
        ("replica_evicted", one, f"of {deployment}: probe said {state.health[one].verdict}") for one in sorted(chosen)
    ]
    evicting = {**state.durable.evicting, **{one: places[one] for one in chosen}}
    return replace(state, durable=replace(state.durable, evicting=evicting)), told
