"""What a route table may not hold, because nginx would read it otherwise or it contradicts itself."""

import json
import re

from finsight_serve.plugin import Limits, Route, RouteTable

ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")
TOKENS = re.compile(rf"{TOKEN68.pattern}(,{TOKEN68.pattern})*")
SHA256 = re.compile(r"[0-9a-f]{64}")
UNSPEAKABLE = re.compile(r"[\"'$\\;{}\x00-\x1f]")


def check(table: RouteTable) -> None:
    """Raises `ValueError` naming what makes no sense; never with a secret in it."""
    tenants: set[str] = set()
    owners: dict[str, str] = {}
    for route in table.routes:
        where = f"tenant {json.dumps(route.tenant)}"
        if not route.tenant or route.tenant in tenants:
            raise ValueError(f"{where}: a tenant needs a name of its own")
        tenants.add(route.tenant)
        if route.weights and (sum(route.weights.values()) != 100 or min(route.weights.values()) < 0):
            raise ValueError(f"{where}: weights must add up to 100, found {dict(route.weights)}")
        _check_limits(route.limits, where)
        if not 0 <= route.shadow_percent <= 100:
            raise ValueError(f"{where}: shadow_percent must be between 0 and 100, found {route.shadow_percent}")
        _check_keys(route, where, owners)
    if UNSPEAKABLE.search(table.shadow_socket):
        raise ValueError("shadow_socket: nginx can't take a path with quotes, $, \\, braces or control characters")
    for replica in table.replicas:
        if not ADDRESS.fullmatch(replica.address):
            raise ValueError(f"replica {json.dumps(replica.id)}: no host:port, found {json.dumps(replica.address)}")
    _check_deployments(table)


def _check_deployments(table: RouteTable) -> None:
    for name, bound in table.max_ongoing_requests.items():
        if bound < 1:
            raise ValueError(f"deployment {json.dumps(name)}: max_ongoing_requests must be above 0, found {bound}")
    for name, secret in table.upstream_keys.items():
        if not TOKENS.fullmatch(secret):
            raise ValueError(f"deployment {json.dumps(name)}: its upstream key is no bearer token (RFC 6750)")


def _check_limits(limits: Limits, where: str) -> None:
    for name in ("requests_per_s", "tokens_per_minute"):
        number = getattr(limits, name)
        if number is not None and not 0 < number < float("inf"):
            raise ValueError(f"{where}: {name} must be above 0, found {number}")


def _check_keys(route: Route, where: str, owners: dict[str, str]) -> None:
    for key in set(route.key_sha256):
        if not SHA256.fullmatch(key):
            raise ValueError(f"{where}: a key hash must be 64 hexadecimal digits in lower case")
        if owners.setdefault(key, route.tenant) != route.tenant:
            raise ValueError(f"{where}: shares a key with tenant {json.dumps(owners[key])}")
