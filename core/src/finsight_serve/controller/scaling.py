"""The numbers of each deployment's policy that hold now, and how long its replicas take to start. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from ..domain import AutoscalingPolicy
from ..plugin import Observed
from ..schedule import cut_overs, next_cut_over, policy_at, situation_at
from ..stack.values import Deployment
from .state import Durable, State
from .told import Telling, Told

STARTS_KEPT = 5
LATE_AFTER_S = 5.0
"""A cut-over that was acted on later than this says so: the controller was away at the window's edge."""


def follow_schedules(before: State, after: State) -> tuple[State, Told]:
    """What holds at `after.now_s` is put in force; (kind, deployment, reason) of every change."""
    stack = after.durable.stack
    if stack is None:
        return after, []
    in_force: dict[str, AutoscalingPolicy] = {}
    late = dict(after.durable.cut_overs_late)
    told = []
    for deployment in stack.deployments:
        now = _policy_now(after.durable, deployment, after.now_s)
        old = after.durable.policies_in_force.get(deployment.name)
        in_force[deployment.name] = now
        if old is not None and old != now:
            change, late_s = _tell(before, after, deployment, old, now)
            told.append(change)
            if late_s > LATE_AFTER_S:
                late[deployment.name] = late.get(deployment.name, 0) + 1
    if in_force == after.durable.policies_in_force:
        return after, []
    durable = replace(after.durable, policies_in_force=in_force, cut_overs_late=late)
    return replace(after, durable=durable), told


def is_cut_over_due(durable: Durable, now_s: float) -> bool:
    deployments = durable.stack.deployments if durable.stack else ()
    return any(_policy_now(durable, d, now_s) != durable.policies_in_force.get(d.name) for d in deployments)


def cold_start_s(durable: Durable, deployment: str) -> float | None:
    """The longest of the last measured starts, from ordered to ready: capacity must be there in the slow case too."""
    return max(durable.cold_starts_s.get(deployment, ()), default=None)


def describe_next_cut_over(durable: Durable, deployment: Deployment, now_s: float) -> str:
    """Local time of the window that causes it; "" where none comes within a year."""
    edge = next_cut_over(deployment.policy, now_s, cold_start_s(durable, deployment.name))
    if edge is None:
        return ""
    return f"{datetime.fromtimestamp(edge.at_s, ZoneInfo(edge.timezone)):%a %Y-%m-%d %H:%M %Z}: {edge.why}"


def measure_starts(state: State, backend: str, observed: Observed) -> State:
    """Notes who is starting, and how long those took that are ready now.

    Replicas of a backend's first snapshot don't count: nobody saw when they were ordered.
    """
    was_watched = backend in state.observed
    since = dict(state.starting_since_s)
    starts = dict(state.durable.cold_starts_s)
    for replica in observed.replicas:
        if replica.state == "starting" and was_watched:
            since.setdefault(replica.id, state.now_s)
        elif replica.id in since:
            began_s = since.pop(replica.id)
            if replica.state == "ready":
                kept = (*starts.get(replica.deployment, ()), round(state.now_s - began_s, 1))
                starts[replica.deployment] = kept[-STARTS_KEPT:]
    present = {replica.id for replica in observed.replicas}
    known = {replica.id for replica in state.observed[backend].replicas} if was_watched else set()
    since = {name: at_s for name, at_s in since.items() if name in present or name not in known}
    return replace(state, starting_since_s=since, durable=replace(state.durable, cold_starts_s=starts))


def _policy_now(durable: Durable, deployment: Deployment, now_s: float) -> AutoscalingPolicy:
    return policy_at(deployment.policy, now_s, cold_start_s(durable, deployment.name))


def _tell(
    before: State, after: State, deployment: Deployment, old: AutoscalingPolicy, new: AutoscalingPolicy
) -> tuple[Telling, float]:
    """With how many seconds late it is."""
    changes = ", ".join(_changes(old, new))
    if _policies(before.durable).get(deployment.name) != deployment.policy:
        return ("policy_changed", deployment.name, changes), 0.0
    measured_s = cold_start_s(after.durable, deployment.name)
    edges = cut_overs(deployment.policy, before.now_s, after.now_s, measured_s)
    why = edges[-1].why if edges else situation_at(deployment.policy, after.now_s, measured_s).why
    late_s = after.now_s - edges[-1].at_s if edges else 0.0
    late = f"; {late_s:.0f} s late" if late_s > LATE_AFTER_S else ""
    return ("policy_cut_over", deployment.name, f"{changes}: {why}{late}"), late_s


def _policies(durable: Durable) -> Mapping[str, AutoscalingPolicy]:
    return {d.name: d.policy for d in durable.stack.deployments} if durable.stack else {}


def _changes(old: AutoscalingPolicy, new: AutoscalingPolicy) -> Iterator[str]:
    for field in fields(AutoscalingPolicy):
        was, now = getattr(old, field.name), getattr(new, field.name)
        if was != now:
            yield f"{field.name} {was} → {now}"
