"""Two deployments of one model on plain processes: what a migration between them did, by the ledger."""

import subprocess
from collections.abc import Collection, Mapping
from typing import Any

import httpx

from finsight_serve.cli.stored import stored_state

from .faults import LEDGER_S, whole_ledger
from .moving import migrations
from .stand import MODEL, Stand
from .waiting import wait_until

SOURCE, DESTINATION = "chat", "chat-next"
TOKEN_INTERVAL_S = 0.02
PATIENT = {"period_s": 1, "failures_before_eviction": 1000}
"""Of `health`: replicas are asked at once, and none is replaced for what it answers."""
ATTENTIVE = {"consecutive_failures": 1000, "min_requests": 1000}
"""Of `breaker`: it does not act before a limit does."""


def deployment(name: str, *, replicas: int = 1, most: int | None = None, **engine_options: Any) -> dict[str, Any]:
    return {
        "name": name,
        "model": MODEL,
        "engine": "sim",
        "engine_options": {"token_interval_s": TOKEN_INTERVAL_S, **engine_options},
        "policy": {"min_replicas": replicas, "max_replicas": most or replicas},
    }


def set_faults(stand: Stand, deployment: str, **faults: Any) -> None:
    """Of all its replicas that are ready; those that are left out end."""
    key = stored_state(stand.state).durable.replica_keys[deployment].previous
    headers = {"Authorization": f"Bearer {key}"}
    for one in stand.seen().replicas:
        if one.deployment == deployment and one.state == "ready":
            url = f"http://{one.address}/sim/faults"
            httpx.post(url, json=faults, headers=headers, trust_env=False).raise_for_status()


def begin_attached(stand: Stand, tenant: str, to: str, *options: str) -> "tuple[subprocess.Popen[str], str]":
    """The command, which watches, and the migration's id."""
    known = set(migrations(stand))
    watching = subprocess.Popen(
        stand.argv("migrate", tenant, "--to", to, "--yes", *options),
        env=stand.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def begun() -> str | None:
        assert watching.poll() is None, watching.communicate()[0]
        return next(iter(set(migrations(stand)) - known), None)

    return watching, wait_until(begun, 60, "the migration has begun", poll_s=0.02)


def rows(stand: Stand, ids: Collection[str] = ()) -> Mapping[str, Mapping[str, Any]]:
    """The ledger's, by request id, once there is one for each of `ids`."""
    return wait_until(lambda: _rows(stand, ids), LEDGER_S, "the ledger has a row for every request")


def _rows(stand: Stand, ids: Collection[str]) -> Mapping[str, Mapping[str, Any]] | None:
    found = whole_ledger(stand.state)
    return found if set(ids) <= found.keys() else None


def routed_to(stand: Stand, tenant: str = "default") -> str:
    return next(one.routed_to for one in stand.seen().tenants if one.name == tenant)


def wait_at(stand: Stand, where: str, tenant: str = "default") -> None:
    wait_until(lambda: routed_to(stand, tenant) == f"{where} 100 %", 60, f"all of {tenant}'s requests go to {where}")
