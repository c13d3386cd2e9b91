"""How long a Gateway's routes take: all tenants at once, and one of them moved."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from finsight_serve.plugin import Plan, Replica, Route, RouteTable
from finsight_serve.testing import make_env
from finsight_serve_k8s_keda.gateway import gateway
from finsight_serve_k8s_keda.gateway.acceptance import wait_until_accepted
from finsight_serve_k8s_keda.gateway.gateway import GatewayLoadBalancer

from .kubernetes import Place

GOAL_S = 20.0
WEIGHTS = {"east": 90, "west": 10}


async def measure(place: Place, namespace: str, folder: Path, tenants: int) -> list[dict[str, Any]]:
    """Rows. The goal is of the first one."""
    options = {
        "kubeconfig": place.kubeconfig,
        "context": place.context,
        "namespace": namespace,
        "gateway": "projectcontour/gateway",
        "address": place.gateway_address,
        "accept_timeout_s": 120,
    }
    balancer = GatewayLoadBalancer(GatewayLoadBalancer.Options.model_validate(options), make_env(folder))
    whole = table(tenants)
    first, second = whole.routes[0], whole.routes[1:]
    moved = replace(whole, routes=(replace(first, weights={"east": 50, "west": 50}), *second), version=2)
    none = RouteTable()
    rows = [
        {"what": f"all {tenants} tenants", **await took(balancer, none, whole), "goal_s": GOAL_S},
        {"what": "the same again", **await took(balancer, whole, whole), "goal_s": None},
        {"what": "one tenant moved", **await took(balancer, whole, moved), "goal_s": None},
    ]
    await balancer.apply(balancer.compile(RouteTable(version=3)))
    return rows


async def took(balancer: GatewayLoadBalancer, before: RouteTable, now: RouteTable) -> dict[str, Any]:
    """Until all is written, and until the Gateway's controller has accepted all, which takes its time to tell."""
    written_s = 0.0

    async def wait(*arguments: Any) -> None:
        nonlocal written_s
        written_s = time.monotonic() - began_s
        await wait_until_accepted(*arguments)

    began_s = time.monotonic()
    plan = balancer.compile(now)
    rendered_s = time.monotonic() - began_s
    with patch.object(gateway, "wait_until_accepted", wait):
        await balancer.apply(plan)
    took_s = time.monotonic() - began_s
    changed = differing(balancer.compile(before), plan)
    return {
        "objects_changed": changed,
        "rendered_s": round(rendered_s, 2),
        "written_s": round(written_s, 1),
        "accepted_s": round(took_s, 1),
    }


def differing(one: Plan, other: Plan) -> int:
    bodies: Mapping[str, Any] = {artefact.name: artefact.body for artefact in one.artefacts}
    return sum(bodies.get(artefact.name) != artefact.body for artefact in other.artefacts)


def table(tenants: int) -> RouteTable:
    replicas = tuple(
        Replica(f"{name}-{place}", name, f"10.250.{row}.{place}:8000", "ready")
        for row, name in enumerate(WEIGHTS)
        for place in (1, 2)
    )
    routes = tuple(Route(f"t{place:04}", (f"{place:064x}",), WEIGHTS, assigned=WEIGHTS) for place in range(tenants))
    return RouteTable(routes, replicas, version=1)
