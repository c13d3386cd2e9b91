"""Whether another stack differs in numbers alone, which a running controller takes without starting anything anew."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from ..domain import AutoscalingPolicy
from ..domain.breaker import BreakerRules
from ..domain.health import HealthRules
from ..stack.values import Stack, Tenant


def differences(old: Stack, new: Stack) -> Iterator[str]:
    """Each field that differs: "deployments.chat.policy.max_replicas: 4 → 6"."""
    yield from _differences("", asdict(old), asdict(new))


def obstacles(old: Stack, new: Stack) -> Iterator[str]:
    """Every difference that is more than a policy, a health or breaker rule, or a limit."""
    yield from differences(_skeleton(old), _skeleton(new))


def moves(old: Stack, new: Stack) -> Iterator[tuple[str, str, str]]:
    """Those obstacles that a migration overcomes: each with its tenant, and the deployment, which is there already."""
    there = {deployment.name for deployment in old.deployments}
    earlier = {tenant.name: tenant.deployment for tenant in old.tenants}
    for tenant in new.tenants:
        was, to = earlier.get(tenant.name, tenant.deployment), tenant.deployment
        if was != to and to in there:
            yield f"tenants.{tenant.name}.deployment: {was} → {to}", tenant.name, to


def _skeleton(stack: Stack) -> Stack:
    return replace(
        stack,
        health=HealthRules(),
        breaker=BreakerRules(),
        deployments=tuple(
            replace(deployment, policy=AutoscalingPolicy(), max_ongoing_requests=None)
            for deployment in stack.deployments
        ),
        tenants=tuple(Tenant(tenant.name, tenant.deployment) for tenant in stack.tenants),
    )


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(f"{path}.{key}".lstrip("."), old.get(key), new.get(key))
    elif _are_named(old) and _are_named(new):
        by_name = [{entry["name"]: entry for entry in entries} for entries in (old, new)]
        yield from _differences(path, *by_name)
    elif path.count(".") == 1 and isinstance(old or new, dict):  # a backend, deployment or tenant as a whole
        yield f"{path}: none → added" if new else f"{path}: there → removed"
    else:
        yield f"{path}: {_shown(old)} → {_shown(new)}"


def _are_named(value: Any) -> bool:
    """Entries that are told apart by their names."""
    if not isinstance(value, tuple) or not all(isinstance(entry, dict) and entry.get("name") for entry in value):
        return False
    return len({entry["name"] for entry in value}) == len(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):  # what was not given says nothing
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items() if item not in (None, "", ()))
    return str(value)
